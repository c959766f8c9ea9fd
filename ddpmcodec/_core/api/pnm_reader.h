// Binary PPM, PGM, PBM and PAM files.
#pragma once
#include <cstdint>
#include <vector>

#include "ddpm.h"

// A picture, whose samples it holds.
class PnmPicture {
  public:
    // Throws Failure: DAMAGED for a file that is none of these or is cut, FAILED for one whose samples would not be kept exactly.
    explicit PnmPicture(const std::vector<uint8_t>& file);
    PnmPicture(const PnmPicture&) = delete;  // the picture refers to the samples

    const ddpm_picture& picture() const { return picture_; }

  private:
    void read_bitmap(const uint8_t* rows);
    void read_samples();

    ddpm_picture picture_{};
    uint32_t most_ = 255;  // of a sample
    std::vector<uint8_t> samples_;
    std::vector<uint16_t> deep_;  // of more than 8 bits
};

// Whether a file begins as one of them does.
bool is_pnm(const std::vector<uint8_t>& file);
