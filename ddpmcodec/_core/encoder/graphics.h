// What tells graphics from photographs: how many pixels their neighbours predict exactly. Trials decide between what might be either.
#pragma once
#include "plane.h"

namespace ddpm {

// PredictedShares of the pixels of an image.
struct PredictedShares {
    double left = 0;    // that equal the one to the left
    // That equal the one above, or the one above and left, or whose left and upper neighbours are equal, or which continue a linear slope of
    // their neighbours: the largest of these four.
    double slopes = 0;
};
PredictedShares predicted_shares(const PlaneView& image);

enum class Guess { NO, MAYBE, YES };

// Whether pixels are to be sought among repeats; of MAYBE a trial decides.
Guess has_repeats(const PlaneView& image, const PredictedShares& shares);
// Whether noise levels may cost an image more than they ever cost photographs.
bool may_have_costly_levels(const PlaneView& image, const PredictedShares& shares);

// Two codings of the middle of an image, by small networks.
class Trial {
  public:
    // Of an image without and with repeats, or without and with a noise level.
    static Trial of_repeats(const PlaneView& image, std::shared_ptr<const ContextModel> model);
    static Trial of_levels(const PlaneView& image, std::shared_ptr<const ContextModel> model);

    EncodeTile first, second;

    // Whether the second takes clearly fewer bytes: of photographs, repeats save 0.002 of the bytes at most, and would cost them their previews.
    bool favours_repeats() const { return double(second.word_bytes()) < 0.95 * double(first.word_bytes()); }
    // Whether the first takes clearly fewer: 0.89 of the bytes or more of photographs, 0.7 or less of smooth drawings.
    bool favours_no_levels() const { return double(first.word_bytes()) < 0.8 * double(second.word_bytes()); }
};

// How trials code: by the small networks, straight to exact.
inline constexpr int TRIAL_EFFORT = 1;

}  // namespace ddpm
