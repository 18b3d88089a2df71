// What each image contributes alone: the steps of ``_simd_images.py``, in double precision and rounded once. One block
// follows one image; on a host, one thread is the block.

#ifdef __CUDACC__
#define EACH_POSITION for (int p = threadIdx.x; p < AREA; p += blockDim.x)
DEVICE void together() { __syncthreads(); }
#else
#define EACH_POSITION for (int p = 0; p < AREA; p++)
DEVICE void together() {}
#endif

DEVICE void put(float* planes, int plane, int p, double value) {
  planes[plane * PLANE + p] = planes[plane * PLANE + AREA + p] = (float)value;
}

DEVICE void put_deviations(float* planes, const int* op, int p, double variance) {
  double a = sqrt(variance);
  put(planes, op[9], p, a);
  put(planes, op[10], p, a > LEAST_STD ? 1.0 / a : 0.0);
}

// Sum a window of ``size`` positions around p along an axis of ``length`` positions, ``step`` apart.
DEVICE double window(const double* values, int p, int at, int length, int step, int size) {
  double sum = 0.0;
  for (int o = -(size / 2); o <= size / 2; o++) {
    int k = at + o;
    if (CIRCULAR) k = (k + length) % length;
    if (k >= 0 && k < length) sum += values[p + (k - at) * step];
  }
  return sum;
}

DEVICE void follow(
    const float* x, const Number* numbers, float* planes, float* borders, double* sums, double* values) {
  double* across = values + BUFFERS * AREA;
  for (int n = 0; n < COUNT; n++) {
    const int* op = PROGRAM[n];
    const double *from = values + op[1] * AREA, *other = values + op[3] * AREA;
    double* to = values + op[2] * AREA;
    const double factor = numbers[n].scale, bias = numbers[n].bias;
    if (op[0] == INPUT) {
      EACH_POSITION {
        double sum = 0.0;
        for (int c = 0; c < op[3]; c++) {
          double value = x[p * op[3] + c];
          put(planes, c, p, value);
          sum += value * value;
        }
        to[p] = sum;
      }
    } else if (op[0] == LOAD) {
      EACH_POSITION to[p] = x[p];  // variances, as the pooling leaves them
    } else if (op[0] == STORE) {
      EACH_POSITION put(planes, op[9], p, from[p]);
    } else if (op[0] == CONV) {
      EACH_POSITION across[p] = window(from, p, p % WIDTH, WIDTH, 1, op[4]);
      if (BORDERS) {  // the tile is scaled before its windows are summed
        EACH_POSITION {
          put(borders, op[7], p, from[p] * factor);
          put(borders, op[8], p, across[p] * factor);
        }
      }
      together();
      EACH_POSITION {
        double sum = window(across, p, p / WIDTH, HEIGHT, WIDTH, op[3]) * factor + bias;
        if (op[6]) {
          put_deviations(planes, op, p, sum);
        } else if (op[5]) {
          put(planes, op[9], p, sum);
        }
        to[p] = sum;
      }
    } else if (op[0] == RELU) {
      EACH_POSITION {
        put_deviations(planes, op, p, from[p]);
        to[p] = from[p];  // half of it, in half the unit
      }
    } else if (op[0] == SUM) {
      EACH_POSITION to[p] = factor * from[p] + numbers[n].other * other[p];
    } else {
      double sum = 0.0;
      for (int p = 0; p < AREA; p++) {  // by all, the same
        sum += from[p] * ROW_SHARES[op[3]][p / WIDTH] * COLUMN_SHARES[op[3]][p % WIDTH];
      }
      sums[op[3]] = sum;
    }
    together();
  }
}
