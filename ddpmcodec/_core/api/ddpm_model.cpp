// The C face of models. ddpm.h states what callers may rely on.
#include "ddpm.h"

#include "checksums.h"
#include "handles.h"

#ifndef DDPMCODEC_VERSION
#define DDPMCODEC_VERSION "unknown"
#endif
#ifndef DDPMCODEC_MODEL_IDS
#error "model_ids.cmake defines DDPMCODEC_MODEL_IDS"
#endif

using namespace ddpm;

namespace {

// The number of the embedded model whose file has this SHA-256; 0 of other models.
int number_of(const Digest& id) {
    static constexpr std::string_view LISTED = "," DDPMCODEC_MODEL_IDS ",";
    for (size_t k = 0; k < std::size(EMBEDDED_MODELS); k++)
        if (LISTED.find("," + std::string(EMBEDDED_MODELS[k]) + "=" + hex(id) + ",") != LISTED.npos) return int(k) + 1;
    return 0;
}

ddpm_model loaded(Bytes data) {
    const Digest id = sha256(data);
    const int number = number_of(id);
    const Digest* known_id = number ? &id : nullptr;  // all others must be as they were sealed
    if (model_kind(data) == COEFFICIENT_KIND) return {nullptr, CoefficientModel::parse(data, "the model", number, known_id)};
    return {ContextModel::parse(data, "the model", number, known_id), nullptr};
}

}  // namespace

const char* ddpm_version(void) { return DDPMCODEC_VERSION; }

ddpm_error ddpm_model_load(ddpm_model** model, const void* data, size_t size, char* message, size_t message_size) {
    return loading(message, message_size, [&] {
        require(model, "there is nowhere to put the model: its pointer is NULL");
        *model = nullptr;
        require(data, "the data of the model is NULL");
        *model = new ddpm_model(loaded({static_cast<const uint8_t*>(data), size}));
    });
}

void ddpm_model_free(ddpm_model* model) { delete model; }

const char* ddpm_model_name(uint32_t number) { return number >= 1 && number <= std::size(EMBEDDED_MODELS) ? EMBEDDED_MODELS[number - 1] : nullptr; }
