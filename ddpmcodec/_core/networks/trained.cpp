#include "trained.h"

#include <stdexcept>

namespace ddpm {

Model model_of(const std::vector<std::shared_ptr<const Trained>>& networks, int levels) {
    const size_t coding = size_t(networks_of(levels));
    if (networks.size() != coding && !(levels && networks.size() == coding + 1))
        throw std::invalid_argument("a pass takes the network of exact pixels, and three or four others where there are noise levels");
    auto role_is = [](const Trained& trained, Role role) { return trained.network.inputs == inputs_of(role); };
    Model model{networks[0], {}, networks.size() > coding ? networks.back() : nullptr};
    bool fits = role_is(*networks[0], levels ? Role::LAST : Role::DIRECT);
    if (model.preview) fits = fits && role_is(*model.preview, Role::PREVIEW);
    for (size_t k = 1; k < coding; k++) {
        model.bands[k - 1] = networks[k];
        fits = fits && role_is(*networks[k], Role::BAND);
    }
    if (!fits) throw std::invalid_argument("networks of other roles");
    return model;
}

}  // namespace ddpm
