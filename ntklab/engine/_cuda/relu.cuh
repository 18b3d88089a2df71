// ReLU on squared distances: the steps of ``_simd_relu.py``, where the formulas are explained.

struct Angles {
  Real u, root_u, obtuse, product;  // with z = 1 - c: 2 (1 - |c|), its root, 2 (z - 1), a_x a_y
};

DEVICE Angles angles(Real d, Real ax, Real ay, Real rx, Real ry) {
  Real gap = ax - ay;
  Real z2 = fused(-gap, gap, d) * (rx * ry);
  Real u = larger(smaller(z2, 4.0f - z2), real(0.0f));
  return {u, root(u), z2 - 2.0f, ax * ay};
}

// Distance and tangent kernel after ReLU, in half their units before.
template <bool TRAINED>
DEVICE void relu(const Angles& at, Real& d, Real& t) {
  Real u = at.u;
  Real obtuse = at.obtuse;
  if constexpr (TANGENT) {
    Real angle = real(ANGLE[ANGLES - 1]);
    UNROLLED for (int k = ANGLES - 2; k >= 0; k--) angle = fused(angle, u, real(ANGLE[k]));
    if constexpr (TRAINED) t = fused(-at.product, obtuse, t);  // the layer before adds its covariance
    Real part = t * (angle * at.root_u);
    t = obtuse < 0.0f ? t - part : part;
  }
  Real curve = real(CURVE[CURVES - 1]);
  UNROLLED for (int k = CURVES - 2; k >= 0; k--) curve = fused(curve, u, real(CURVE[k]));
  d = fused(-at.product, fused(u * at.root_u, curve, larger(obtuse, real(0.0f))), d);
}
