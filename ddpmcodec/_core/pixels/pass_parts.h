// What the two files of a pass share: what its streams, threads and networks keep from wave to wave.
#pragma once
#include "cache.h"
#include "pass.h"

namespace ddpm {

inline int padded(int inputs) { return rounded_up(inputs, ROW_UNIT); }

// Computes outputs of positions. network: `trained`'s, or its copy that goes on learning. The rest: see `run`.
inline void predict(const Trained& trained, const Network& network, const InputRows& inputs, int32_t* outputs, Scratch& scratch,
                    const NeighbourActivations* shown = nullptr, const LearningRecord& kept = {}) {
    if (trained.predict)
        trained.predict(inputs, outputs);
    else
        run(network, inputs, outputs, scratch, shown, kept);
}

struct Pass::Learned {
    Network network;
    Learner learner;
    const int least;  // positions of a step
    Learned(const Network& first, int blocks, int least, int largest_wave)
        : network(first), learner(network, blocks, least + largest_wave), least(least) {}
};

// A thread's part of a wave: the positions of its streams.
struct alignas(CACHE_LINES) Pass::Worker {
    struct WavePosition {
        int stream, n, y, x;
    };
    std::vector<WavePosition> positions;
    std::vector<int> slots;  // theirs among all positions since the last step of learning
    std::vector<uint8_t> rows;
    size_t row_stride = 0;
    std::vector<int16_t> base;
    std::vector<int32_t> outputs;
    std::vector<NeighbourActivations> shown;
    std::unique_ptr<Scratch> scratch;
    const Network* scratch_network = nullptr;

    // Makes room for `count` positions of a role.
    void fit(size_t count, Role role, const Network& network) {
        const size_t inputs = padded(inputs_of(role));
        if (!scratch || scratch_network != &network) scratch = std::make_unique<Scratch>(network), scratch_network = &network;
        if (rows.size() < count * inputs || row_stride != inputs) {  // what is not gathered stays ZERO
            rows.assign(std::max(rows.size(), count * inputs), ZERO);
            row_stride = inputs;
        }
        if (base.size() < count * CHANNELS) base.resize(count * CHANNELS);
        if (outputs.size() < count * network.outputs) outputs.resize(count * network.outputs);
    }
};

}  // namespace ddpm
