// Trained networks, and those that code together.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "conditions.h"
#include "kernels.h"

namespace ddpm {

// Computes a network of another architecture, in place of `run`.
using Predict = std::function<void(const InputRows& inputs, int32_t* outputs)>;

// A network, and how many components its mixtures have. Shared: nobody changes it.
struct Trained {
    Network network;  // where there is `predict`, only its inputs, outputs and conditions count
    int components;
    Predict predict = nullptr;
};

// The networks that code by one schedule: of exact pixels, and of the kinds of bands where there are noise levels. preview: what
// corrects previews; null where there is none.
struct Model {
    std::shared_ptr<const Trained> pixels, bands[BAND_KINDS], preview;
};

inline int networks_of(int levels) { return levels ? 1 + BAND_KINDS : 1; }

// A model of networks in this order, behind which there may be that of previews. Throws std::invalid_argument where these are others.
Model model_of(const std::vector<std::shared_ptr<const Trained>>& networks, int levels);

}  // namespace ddpm
