// Rows of 3x3 convolutions in float32, for previews: not exact, coding does not use them.
#pragma once

namespace ddpm {

constexpr int ROW_BLOCK = 8;  // positions that are computed together, or a multiple of them: rows have room for whole blocks

// Three rows of inputs, channels last, each from one position left of the first to one right of the last block.
struct Convolution {
    const float* rows[3];
    int inputs;
    const float* weights;  // [groups of outputs][3][3][inputs][outputs of a group]
    const float* bias;     // [outputs]
    int outputs;           // padded
};

// What an instruction set gives.
struct Convolver {
    const char* name;
    int group;  // outputs that lie side by side in weights
    int narrow; // the same of convolutions with no more outputs than this
    // out [positions][outputs] += bias + the convolution, for `blocks` ROW_BLOCKs of positions.
    void (*row)(const Convolution&, int blocks, float* out);

    int group_of(int outputs) const { return outputs > narrow ? group : narrow; }
};

// The one that goes with the kernels in use.
const Convolver& convolver();

}  // namespace ddpm
