// The three kernels: planes of all images; tiles of all pairs; what comes out of each pair.

// Which tiles a warp adds up: those of one displacement of rows and a pair, or that of no displacement of a pair.
DEVICE void walk(
    int block, int warp, const float* planes_x, const float* borders_x, const float* planes_y, const float* borders_y,
    const Number* numbers, const int* left, const int* right, const float* tiles_d, const float* tiles_t,
    double* partial, float* stored_d, float* stored_t) {
  const int pair = DISPLACED ? block / MOVES_DOWN : block * WARPS + warp;
  const int down = DISPLACED ? block % MOVES_DOWN : 0;
  const float *x = planes_x + (long long)left[pair] * PLANES * PLANE;
  const float *y = planes_y + (long long)right[pair] * PLANES * PLANE;
  const float *border_x = borders_x + (long long)left[pair] * BORDER_PLANES * PLANE;
  const float *border_y = borders_y + (long long)right[pair] * BORDER_PLANES * PLANE;
  Long sums[TAPS][2] = {};
  LOOPED for (int k = 0; k < (DISPLACED ? (MOVES_RIGHT + WARPS - 1) / WARPS : 1); k++) {
    const int right = DISPLACED ? k * WARPS + warp : 0;
    if (DISPLACED && MOVES_RIGHT % WARPS && right >= MOVES_RIGHT) break;
    const Place at = place(x, y, border_x, border_y, down, right);
    const long long here = (((long long)pair * MOVES_DOWN + down) * MOVES_RIGHT + right) * AREA;
    [[maybe_unused]] const float *tile_d = tiles_d + here, *tile_t = tiles_t + here;
    [[maybe_unused]] float *away_d = stored_d + here, *away_t = stored_t + here;
    Tile tile;
    LOOPED for (int n = 0; n < COUNT; n++) {
      const int* op = PROGRAM[n];
      const float factor = numbers[n].scale, other = numbers[n].other;
      switch (CASE[n]) { CASES }
    }
  }
  double* out = partial + (long long)(DISPLACED ? block * WARPS + warp : pair) * TAPS * 2;
  UNROLLED for (int n = 0; n < TAPS * 2; n++) out[n] = total(sums[n / 2][n % 2]);
}

// Covariance and tangent kernel of a pair from its sums, in the order of displacements, whoever computed them.
DEVICE void finish_pair(
    int pair, const double* partial, const double* sums_x, const double* sums_y, const double* units, const int* left,
    const int* right, float* out) {
  constexpr int PARTS = DISPLACED ? MOVES_DOWN * WARPS : 1;
  for (int n = 0; n < TAPS; n++) {
    double d = 0.0, t = 0.0;
    for (int k = 0; k < PARTS; k++) {
      const double* part = partial + (((long long)pair * PARTS + k) * TAPS + n) * 2;
      d += part[0];
      t += part[1];
    }
    const double unit = units[n];
    const double mean = 0.5 * (sums_x[left[pair] * TAPS + n] + sums_y[right[pair] * TAPS + n] - d / SPREAD[n]);
    out[(pair * TAPS + n) * 2] = (float)(unit * mean);
    out[(pair * TAPS + n) * 2 + 1] = (float)(0.5 * unit / SPREAD[n] * t);  // T is in half the unit of D
  }
}

DEVICE void follow_image(
    int n, const float* x, const Number* numbers, float* planes, float* borders, double* sums, double* scratch) {
  follow(x + (long long)n * AREA * CHANNELS, numbers, planes + (long long)n * PLANES * PLANE,
         borders + (long long)n * BORDER_PLANES * PLANE, sums + n * TAPS, scratch + (long long)n * (BUFFERS + 1) * AREA);
}

#ifdef __CUDACC__

extern "C" __global__ void images(
    const float* x, const Number* numbers, float* planes, float* borders, double* sums, double* scratch) {
  follow_image(blockIdx.x, x, numbers, planes, borders, sums, scratch);
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, BLOCKS) pairs(
    const float* __restrict__ planes_x, const float* __restrict__ borders_x, const float* __restrict__ planes_y,
    const float* __restrict__ borders_y, const Number* __restrict__ numbers, const int* __restrict__ left,
    const int* __restrict__ right, const float* __restrict__ tiles_d, const float* __restrict__ tiles_t,
    double* __restrict__ partial, float* __restrict__ stored_d, float* __restrict__ stored_t) {
  walk(blockIdx.x, threadIdx.x / 32, planes_x, borders_x, planes_y, borders_y, numbers, left, right, tiles_d, tiles_t,
       partial, stored_d, stored_t);
}

extern "C" __global__ void finish(
    const double* partial, const double* sums_x, const double* sums_y, const double* units, const int* left,
    const int* right, float* out) {
  finish_pair(blockIdx.x * blockDim.x + threadIdx.x, partial, sums_x, sums_y, units, left, right, out);
}

#else  // the same with the arguments in an array, for tests on a machine without a GPU

#define IN(type, n) ((const type*)arguments[n])
#define OUT(type, n) ((type*)arguments[n])

extern "C" void images(int grid, int, void** arguments) {
  for (int n = 0; n < grid; n++) {
    follow_image(n, IN(float, 0), IN(Number, 1), OUT(float, 2), OUT(float, 3), OUT(double, 4), OUT(double, 5));
  }
}

extern "C" void pairs(int grid, int block, void** arguments) {
  for (int n = 0; n < grid * (block / 32); n++) {
    walk(n / (block / 32), n % (block / 32), IN(float, 0), IN(float, 1), IN(float, 2), IN(float, 3), IN(Number, 4),
         IN(int, 5), IN(int, 6), IN(float, 7), IN(float, 8), OUT(double, 9), OUT(float, 10), OUT(float, 11));
  }
}

extern "C" void finish(int grid, int block, void** arguments) {
  for (int n = 0; n < grid * block; n++) {
    finish_pair(n, IN(double, 0), IN(double, 1), IN(double, 2), IN(double, 3), IN(int, 4), IN(int, 5), OUT(float, 6));
  }
}

#endif
