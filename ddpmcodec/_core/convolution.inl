// Rows of convolutions for one instruction set. Included in a namespace of its own, where `Vector` and TARGET are known.

// P positions by N vectors of outputs, all of whose sums stay in registers. Of a row of inputs, three positions lie in one
// piece: 3 * inputs terms.
template <int P, int N>
TARGET inline void block(const Convolution& c, const float* weights, int first, int position, float* out) {
    Vector sums[P][N];
    DDPM_UNROLL for (int p = 0; p < P; p++) {
        DDPM_UNROLL for (int n = 0; n < N; n++) {
            sums[p][n] = add(load(out + p * c.outputs + n * SIZE), load(c.bias + first + n * SIZE));
        }
    }
    for (int ky = 0; ky < 3; ky++) {
        const float* x = c.rows[ky] + position * c.inputs;
        for (int k = 0; k < 3 * c.inputs; k++, weights += N * SIZE) {
            Vector w[N];
            DDPM_UNROLL for (int n = 0; n < N; n++) w[n] = load(weights + n * SIZE);
            DDPM_UNROLL for (int p = 0; p < P; p++) {
                const Vector everywhere = broadcast(x[p * c.inputs + k]);
                DDPM_UNROLL for (int n = 0; n < N; n++) sums[p][n] = multiply_add(everywhere, w[n], sums[p][n]);
            }
        }
    }
    DDPM_UNROLL for (int p = 0; p < P; p++) {
        DDPM_UNROLL for (int n = 0; n < N; n++) store(out + p * c.outputs + n * SIZE, sums[p][n]);
    }
}

template <int N> TARGET inline void groups(const Convolution& c, int blocks, float* out) {
    for (int first = 0; first < c.outputs; first += N * SIZE) {
        const float* weights = c.weights + 9 * c.inputs * first;
        for (int p = 0; p < blocks * ROW_BLOCK; p += POSITIONS) {
            block<POSITIONS, N>(c, weights, first, p, out + p * c.outputs + first);
        }
    }
}

TARGET void row(const Convolution& c, int blocks, float* out) {
    if (c.outputs > SIZE) groups<COLUMNS>(c, blocks, out);
    else groups<1>(c, blocks, out);
}
