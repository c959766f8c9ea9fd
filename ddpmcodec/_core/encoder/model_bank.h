// The models that an encoder has: one that the caller chose, and embedded ones by number.
#pragma once
#include <map>
#include <memory>

#include "coefficient_model.h"
#include "context_model.h"

namespace ddpm {

inline constexpr int THUMBNAIL_MODEL = 1, PHOTO_MODEL = 2, JPEG_MODEL = 3;  // numbers, in EMBEDDED_MODELS
inline constexpr uint64_t THUMBNAIL_PIXELS = 64 * 64;  // an image of more is a photograph, to the choice of its model

struct ModelBank {
    std::shared_ptr<const ContextModel> chosen;
    std::shared_ptr<const CoefficientModel> chosen_of_jpeg;
    std::map<int, std::shared_ptr<const ContextModel>> embedded;
    std::shared_ptr<const CoefficientModel> embedded_of_jpeg;

    bool has(int number) const { return number == JPEG_MODEL ? embedded_of_jpeg || chosen_of_jpeg : chosen || embedded.contains(number); }
    const std::shared_ptr<const CoefficientModel>& of_jpeg() const { return chosen_of_jpeg ? chosen_of_jpeg : embedded_of_jpeg; }
    // For an image of so many pixels, unless the caller chose one.
    const std::shared_ptr<const ContextModel>& usual(uint64_t pixels) const {
        return chosen ? chosen : embedded.at(pixels > THUMBNAIL_PIXELS ? PHOTO_MODEL : THUMBNAIL_MODEL);
    }
};

}  // namespace ddpm
