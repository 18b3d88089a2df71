// One displacement tile of one pair of images through the layers: D and T at position pairs p = (i, j) and
// q = ((i + di) mod HEIGHT, (j + dj) mod WIDTH), rows in registers, columns on lanes. What the numbers mean stands in
// ``_simd_tile.py``; rows arrive from above, and one leaves when all of its window has arrived.

constexpr int AREA = HEIGHT * WIDTH;
constexpr int PLANE = 2 * AREA;  // rows twice, so that any displacement of rows is one address
constexpr bool BORDERS = DISPLACED && !CIRCULAR;

struct Tile {
  Real d[BUFFERS][HEIGHT][COLUMNS];
  Real t[BUFFERS][TANGENT ? HEIGHT : 1][COLUMNS];
};

// Addresses of both images: those of y begin at row di.
struct Place {
  const float *x, *y, *border_x, *border_y;
  Index j[COLUMNS], q[COLUMNS];
  Mask valid[COLUMNS];
  int di, down, right;  // the displacement of rows; numbers of both displacements among those that are walked
};

DEVICE Place place(
    const float* x, const float* y, const float* border_x, const float* border_y, int down, int right) {
  const int di = DOWN[down], dj = RIGHT[right];
  Place at = {x, y + di * WIDTH, border_x, border_y + di * WIDTH, {}, {}, {}, di, down, right};
  UNROLLED for (int v = 0; v < COLUMNS; v++) {
    Index j = lane() * COLUMNS + v;
    at.valid[v] = j < WIDTH;
    at.j[v] = at.valid[v] ? j : j * 0;  // lanes beyond the width compute something that nobody reads
    Index q = at.j[v] + dj;
    at.q[v] = q >= WIDTH ? q - WIDTH : q;
  }
  return at;
}

// The columns of a window: which neighbours are inside both images, which inside one, and where its variance is.
template <int REACH>
struct Sides {
  static constexpr int SIDES = 2 * REACH + (REACH == 0);
  Real both[SIDES][COLUMNS];
  Mask one[SIDES][COLUMNS];
  Edge from[SIDES][COLUMNS];
};

DEVICE int offset(int n) { return n % 2 ? n / 2 + 1 : -(n / 2 + 1); }

template <int REACH>
DEVICE void look(Sides<REACH>& sides, const Place& at, const int* op) {
  const float *x = at.border_x + op[7] * PLANE, *y = at.border_y + op[7] * PLANE;
  UNROLLED for (int n = 0; n < 2 * REACH; n++) {
    UNROLLED for (int v = 0; v < COLUMNS; v++) {
      Index j = at.j[v] + offset(n), q = at.q[v] + offset(n);
      Mask in_x = (j >= 0) & (j < WIDTH) & at.valid[v], in_y = (q >= 0) & (q < WIDTH) & at.valid[v];
      sides.both[n][v] = (in_x & in_y) ? real(1.0f) : real(0.0f);
      if constexpr (BORDERS) {
        sides.one[n][v] = in_x ^ in_y;
        sides.from[n][v] = edge(in_x, x, j, y, q);
      }
    }
  }
}

DEVICE Real neighbour(const Real* row, int column) {
  int by = (column + 32 * COLUMNS) / COLUMNS - 32;
  return moved(row[column - by * COLUMNS], by);
}

DEVICE Real around(const Real* row, Index column) {
  column = column < 0 ? column + WIDTH : column;
  column = column >= WIDTH ? column - WIDTH : column;
  if constexpr (COLUMNS == 1) return taken(row[0], column);
  Real even = taken(row[0], column / COLUMNS), odd = taken(row[COLUMNS - 1], column / COLUMNS);
  return column % COLUMNS == 0 ? even : odd;
}

// Sum a row's windows; D gets the variance of the one position that is inside where the other is not.
template <int REACH, bool DISTANCE>
DEVICE void across(const Real* row, Real* sums, const Sides<REACH>& sides, const Place& at, int i) {
  UNROLLED for (int v = 0; v < COLUMNS; v++) {
    Real sum = row[v];
    UNROLLED for (int n = 0; n < 2 * REACH; n++) {
      if constexpr (CIRCULAR) {
        sum += around(row, at.j[v] + offset(n));
      } else {
        sum = fused(neighbour(row, v + offset(n)), sides.both[n][v], sum);
        if constexpr (BORDERS && DISTANCE) add_where(sides.one[n][v], sum, sides.from[n][v], i * WIDTH);
      }
    }
    sums[v] = sum;
  }
}

// The planes of an instruction in both images: standard deviations (without a ReLU variances), and their inverses next.
struct Planes {
  Spot x[COLUMNS], y[COLUMNS];
};

DEVICE Planes planes(const float* x, const float* y, const Place& at, int number) {
  Planes found;
  UNROLLED for (int v = 0; v < COLUMNS; v++) {
    found.x[v] = spot(x + number * PLANE, at.j[v]);
    found.y[v] = spot(y + number * PLANE, at.q[v]);
  }
  return found;
}

// What follows the window sums of a row: the layer's own covariance, and a ReLU.
template <int TO, bool TRAINED, bool RELU>
DEVICE void leave(Tile& tile, int i, const Real* d, const Real* t, const Planes& own) {
  const int p = i * WIDTH;
  UNROLLED for (int v = 0; v < COLUMNS; v++) {
    Real e = d[v], s = TANGENT ? t[v] : real(0.0f);
    if constexpr (RELU) {
      const Real ax = load(own.x[v], p), ay = load(own.y[v], p);
      relu<TRAINED>(angles(e, ax, ay, load(own.x[v], PLANE + p), load(own.y[v], PLANE + p)), e, s);
    } else if constexpr (TRAINED) {
      s += load(own.x[v], p) + load(own.y[v], p) - e;
    }
    tile.d[TO][i][v] = e;
    if constexpr (TANGENT) tile.t[TO][i][v] = s;
  }
}

DEVICE void add(Real* sum, const Real* other) {
  UNROLLED for (int v = 0; v < COLUMNS; v++) sum[v] += other[v];
}

DEVICE void add(Real* sum, const Spot* from, int row) {
  UNROLLED for (int v = 0; v < COLUMNS; v++) sum[v] += load(from[v], row * WIDTH);
}

template <int FROM>
DEVICE void scale(Tile& tile, float factor) {
  ROW_LOOP for (int i = 0; i < HEIGHT; i++) {
    UNROLLED for (int v = 0; v < COLUMNS; v++) {
      tile.d[FROM][i][v] *= factor;
      if constexpr (TANGENT) tile.t[FROM][i][v] *= factor;
    }
  }
}

// A convolution whose windows end at the image. ``border`` rows of x are added where y wraps, rows of y where x ends.
template <int FROM, int TO, int ROWS, int COLS, bool TRAINED, bool RELU>
DEVICE void convolve(Tile& tile, const Place& at, const int* op, float factor) {
  constexpr int UP = ROWS / 2, KEPT = UP + (UP == 0);
  if (factor != 1.0f) scale<FROM>(tile, factor);
  Sides<COLS / 2> sides;
  look(sides, at, op);
  const Planes own = planes(at.x, at.y, at, op[9]), border = planes(at.border_x, at.border_y, at, op[8]);
  const int wrap = HEIGHT - at.di;  // the first row whose partner is the first row of y again
  Real row_d[KEPT][COLUMNS], row_t[KEPT][COLUMNS];  // the last rows
  Real sum_d[KEPT][COLUMNS], sum_t[KEPT][COLUMNS];  // and what has arrived of their windows
  ROW_LOOP for (int i = 0; i < HEIGHT + UP; i++) {
    Real h[COLUMNS], g[COLUMNS], e[COLUMNS], s[COLUMNS];
    if (i < HEIGHT) {
      across<COLS / 2, true>(tile.d[FROM][i], h, sides, at, i);
      if constexpr (TANGENT) across<COLS / 2, false>(tile.t[FROM][i], g, sides, at, i);
      UNROLLED for (int v = 0; v < COLUMNS; v++) {
        e[v] = h[v];
        s[v] = g[v];
      }
    }
    UNROLLED for (int o = 1; o <= UP; o++) {
      if (i < HEIGHT && i >= o) {  // rows i and i - o
        if (BORDERS && (unsigned)(i - wrap) < (unsigned)o) {
          add(e, border.x, i - o);
          add(sum_d[o - 1], border.x, i);
        } else {
          add(e, row_d[o - 1]);
          add(sum_d[o - 1], h);
          if constexpr (TANGENT) {
            add(s, row_t[o - 1]);
            add(sum_t[o - 1], g);
          }
        }
      }
      if (BORDERS && i < HEIGHT && i < o && i < wrap && i + at.di >= o) add(e, border.y, i - o);
      if (BORDERS && i < HEIGHT && i + o >= HEIGHT && i >= wrap && i + at.di + o < 2 * HEIGHT) {
        add(e, border.y, i + o);
      }
    }
    if (i >= UP) leave<TO, TRAINED, RELU>(tile, i - UP, UP ? sum_d[KEPT - 1] : e, UP ? sum_t[KEPT - 1] : s, own);
    UNROLLED for (int o = UP - 1; o >= 0; o--) {
      UNROLLED for (int v = 0; v < COLUMNS; v++) {
        row_d[o][v] = o ? row_d[o - (o > 0)][v] : h[v];
        sum_d[o][v] = o ? sum_d[o - (o > 0)][v] : e[v];
        row_t[o][v] = o ? row_t[o - (o > 0)][v] : g[v];
        sum_t[o][v] = o ? sum_t[o - (o > 0)][v] : s[v];
      }
    }
  }
}

// A convolution whose windows go on at the other side: needs the first rows again at the end.
template <int FROM, int TO, int ROWS, int COLS, bool TRAINED, bool RELU>
DEVICE void wind(Tile& tile, const Place& at, const int* op, float factor) {
  if (factor != 1.0f) scale<FROM>(tile, factor);
  Sides<COLS / 2> sides;
  const Planes own = planes(at.x, at.y, at, op[9]);
  Real h[HEIGHT][COLUMNS], g[HEIGHT][COLUMNS];
  ROW_LOOP for (int i = 0; i < HEIGHT; i++) {
    across<COLS / 2, true>(tile.d[FROM][i], h[i], sides, at, i);
    if constexpr (TANGENT) across<COLS / 2, false>(tile.t[FROM][i], g[i], sides, at, i);
  }
  ROW_LOOP for (int i = 0; i < HEIGHT; i++) {
    Real e[COLUMNS], s[COLUMNS];
    UNROLLED for (int v = 0; v < COLUMNS; v++) {
      e[v] = h[i][v];
      s[v] = g[i][v];
    }
    UNROLLED for (int n = 0; n < ROWS - 1; n++) {
      int k = (i + offset(n) + HEIGHT) % HEIGHT;
      add(e, h[k]);
      if constexpr (TANGENT) add(s, g[k]);
    }
    leave<TO, TRAINED, RELU>(tile, i, e, s, own);
  }
}

// Squared distances of the inputs, summed over channels; no tangent kernel.
template <int TO>
DEVICE void start(Tile& tile, const Place& at, const int* op) {
  ROW_LOOP for (int i = 0; i < HEIGHT; i++) {
    UNROLLED for (int v = 0; v < COLUMNS; v++) {
      tile.d[TO][i][v] = real(0.0f);
      if constexpr (TANGENT) tile.t[TO][i][v] = real(0.0f);
    }
  }
  LOOPED for (int c = 0; c < op[3]; c++) {
    const Planes own = planes(at.x, at.y, at, c);
    ROW_LOOP for (int i = 0; i < HEIGHT; i++) {
      UNROLLED for (int v = 0; v < COLUMNS; v++) {
        Real gap = load(own.x[v], i * WIDTH) - load(own.y[v], i * WIDTH);
        tile.d[TO][i][v] = fused(gap, gap, tile.d[TO][i][v]);
      }
    }
  }
}

// A tile that a pooling has left in memory, and one that it will read.
template <int TO>
DEVICE void fetch(Tile& tile, const Place& at, const float* d, const float* t) {
  ROW_LOOP for (int i = 0; i < HEIGHT; i++) {
    UNROLLED for (int v = 0; v < COLUMNS; v++) {
      tile.d[TO][i][v] = load(spot(d, at.j[v]), i * WIDTH);
      if constexpr (TANGENT) tile.t[TO][i][v] = load(spot(t, at.j[v]), i * WIDTH);
    }
  }
}

template <int FROM>
DEVICE void put_away(const Tile& tile, const Place& at, float* d, float* t) {
  ROW_LOOP for (int i = 0; i < HEIGHT; i++) {
    UNROLLED for (int v = 0; v < COLUMNS; v++) {
      write(at.valid[v], d, at.j[v], i * WIDTH, tile.d[FROM][i][v]);
      if constexpr (TANGENT) write(at.valid[v], t, at.j[v], i * WIDTH, tile.t[FROM][i][v]);
    }
  }
}

// A ReLU that does not follow a convolution.
template <int FROM, int TO>
DEVICE void activate(Tile& tile, const Place& at, const int* op) {
  const Planes own = planes(at.x, at.y, at, op[9]);
  ROW_LOOP for (int i = 0; i < HEIGHT; i++) {
    leave<TO, false, true>(tile, i, tile.d[FROM][i], tile.t[FROM][TANGENT ? i : 0], own);
  }
}

// Two values, each brought to the unit of their sum.
template <int FIRST, int SECOND, int TO>
DEVICE void sum(Tile& tile, float first, float second) {
  ROW_LOOP for (int i = 0; i < HEIGHT; i++) {
    UNROLLED for (int v = 0; v < COLUMNS; v++) {
      tile.d[TO][i][v] = fused(tile.d[FIRST][i][v], real(first), tile.d[SECOND][i][v] * second);
      if constexpr (TANGENT) tile.t[TO][i][v] = fused(tile.t[FIRST][i][v], real(first), tile.t[SECOND][i][v] * second);
    }
  }
}

// The sum over positions, column by column, each position times its weights.
template <int FROM, int TAP>
DEVICE void tap(const Tile& tile, const Place& at, Long* sums) {
  UNROLLED for (int v = 0; v < COLUMNS; v++) {
    Real d = real(0.0f), t = real(0.0f);
    ROW_LOOP for (int i = 0; i < HEIGHT; i++) {
      const float weight = WEIGHED ? ROW_WEIGHTS[TAP][at.down][i] : 1.0f;
      d = fused(tile.d[FROM][i][v], real(weight), d);
      if constexpr (TANGENT) t = fused(tile.t[FROM][i][v], real(weight), t);
    }
    if constexpr (WEIGHED) {
      const Real weight = load(spot(COLUMN_WEIGHTS[TAP][at.right], at.j[v]), 0);
      d *= weight;
      t *= weight;
    }
    sums[0] += wide(at.valid[v] ? d : real(0.0f));
    sums[1] += wide(at.valid[v] ? t : real(0.0f));
  }
}
