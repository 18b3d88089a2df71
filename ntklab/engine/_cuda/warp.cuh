// What one warp does in step: on a GPU a Real is a thread's own float, on a host a vector of all 32. Everything after
// this file is written once for both.

#ifdef __CUDACC__

#define DEVICE __device__ __forceinline__
#define TABLE __device__ __constant__ const
#define ARRAY __device__ const
#define UNROLLED _Pragma("unroll")
#define LOOPED _Pragma("unroll 1")
#define ROW_LOOP _Pragma("unroll ROWS_AT_ONCE")

typedef float Real;
typedef double Long;
typedef int Index;
typedef bool Mask;

#define WHOLE_WARP 0xffffffffu
DEVICE Index lane() { return threadIdx.x & 31; }
DEVICE Real real(float x) { return x; }
DEVICE Real fused(Real a, Real b, Real c) { return fmaf(a, b, c); }
DEVICE Real larger(Real a, Real b) { return fmaxf(a, b); }
DEVICE Real smaller(Real a, Real b) { return fminf(a, b); }
DEVICE Real root(Real x) {
  Real y;
  asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
typedef const float* Spot;  // where a lane reads in a plane; rows further on are offsets known to the compiler
DEVICE Spot spot(const float* plane, Index column) { return plane + column; }
DEVICE Real load(Spot from, int offset) { return __ldg(from + offset); }
DEVICE Real moved(Real x, int by) {  // the value of the lane `by` further, whoever has none keeps its own
  if (by == 0) return x;
  return by > 0 ? __shfl_down_sync(WHOLE_WARP, x, by) : __shfl_up_sync(WHOLE_WARP, x, -by);
}
DEVICE Real taken(Real x, Index from) { return __shfl_sync(WHOLE_WARP, x, from); }
DEVICE Long wide(Real x) { return x; }
DEVICE double total(Long x) {
  UNROLLED for (int o = 16; o; o >>= 1) x += __shfl_xor_sync(WHOLE_WARP, x, o);
  return x;
}

DEVICE void write(Mask where, float* plane, Index column, int offset, Real x) {
  if (where) plane[column + offset] = x;
}

typedef Spot Edge;  // the same at a border of either image
DEVICE Edge edge(Mask first, const float* x, Index at_x, const float* y, Index at_y) {
  return first ? x + at_x : y + at_y;
}
DEVICE void add_where(Mask where, Real& sum, Edge from, int offset) {
  if (where) sum += __ldg(from + offset);
}

#else

#include <math.h>

#define DEVICE static inline
#define TABLE static const
#define ARRAY static const
#define UNROLLED
#define LOOPED
#define ROW_LOOP

typedef float Real __attribute__((vector_size(4 * 32)));
typedef double Long __attribute__((vector_size(8 * 32)));
typedef int Index __attribute__((vector_size(4 * 32)));
typedef Index Mask;

#define EACH_LANE for (int k = 0; k < 32; k++)
DEVICE Index lane() {
  Index i;
  EACH_LANE i[k] = k;
  return i;
}
DEVICE Real real(float x) { return Real{} + x; }
DEVICE Real fused(Real a, Real b, Real c) { return a * b + c; }
DEVICE Real larger(Real a, Real b) { return a > b ? a : b; }
DEVICE Real smaller(Real a, Real b) { return a < b ? a : b; }
DEVICE Real root(Real x) {
  EACH_LANE x[k] = sqrtf(x[k]);
  return x;
}
struct Spot {
  const float* plane;
  Index column;
};
DEVICE Spot spot(const float* plane, Index column) { return {plane, column}; }
DEVICE Real load(const Spot& from, int offset) {
  Real x;
  EACH_LANE x[k] = from.plane[from.column[k] + offset];
  return x;
}
DEVICE Real moved(Real x, int by) {
  Real y = x;
  EACH_LANE if (k + by >= 0 && k + by < 32) y[k] = x[k + by];
  return y;
}
DEVICE Real taken(Real x, Index from) {
  Real y;
  EACH_LANE y[k] = x[from[k]];
  return y;
}
DEVICE Long wide(Real x) { return __builtin_convertvector(x, Long); }
DEVICE double total(Long x) {
  double sum = 0.0;
  EACH_LANE sum += x[k];
  return sum;
}

DEVICE void write(Mask where, float* plane, Index column, int offset, Real x) {
  EACH_LANE if (where[k]) plane[column[k] + offset] = x[k];
}

struct Edge {
  Mask first;
  const float *x, *y;
  Index at_x, at_y;
};
DEVICE Edge edge(Mask first, const float* x, Index at_x, const float* y, Index at_y) {
  return {first, x, y, at_x, at_y};
}
DEVICE void add_where(Mask where, Real& sum, const Edge& from, int offset) {
  EACH_LANE if (where[k]) sum[k] += (from.first[k] ? from.x + from.at_x[k] : from.y + from.at_y[k])[offset];
}

#endif
