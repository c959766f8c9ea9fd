// One image on its way to a file: what it is, what is decided about it, and what it became.
#pragma once
#include <deque>

#include "coefficient_job.h"
#include "encoder.h"
#include "graphics.h"
#include "model_bank.h"
#include "samples.h"

namespace ddpm {

// What a step leaves to threads.
struct Work {
    JobQueue queue;
    std::vector<EncodeTile*> tiles;
};

class ImageEncoder {
  public:
    // Throws Error as `Encoder::add` does. models: outlives this.
    ImageEncoder(Image image, const EncodeOptions& options, const ModelBank& models);
    ImageEncoder(const ImageEncoder&) = delete;  // tiles refer to the image

    // The numbers of the embedded models that may be needed.
    std::vector<int> models_needed() const;

    // --- the steps, in this order: each begins by adding work, and ends once this is done

    void begin_model_trial(Work& work);     // of a thumbnail
    void choose_model();
    void begin_repeats_trials(Work& work);  // of colours, and of alpha
    void choose_repeats();
    void begin_levels_trial(Work& work);
    void choose_levels();
    void begin_coding(Work& work);
    void begin_writing(Work& work);

    const Image& image() const { return image_; }
    bool is_jpeg() const { return bool(image_.jpeg); }
    const Header& header() const { return header_; }          // once it was coded
    const Coding& coding() const { return colours_->coding; }
    const std::vector<uint8_t>& file() const { return file_; }
    uint64_t pixels() const { return uint64_t(image_.picture.width) * uint64_t(image_.picture.height); }

  private:
    // Colours, or alpha.
    struct Plane {
        PlaneView view;
        PredictedShares shares;
        Coding coding;
        std::optional<Trial> trial;
        Header header;                     // of colours the file's, of alpha that of a file of its own
        std::deque<EncodeTile> tiles;
    };

    void begin_coding_pixels(Work& work);
    void begin_coding_coefficients(Work& work);
    void plan_header();
    void plan_alpha();
    void add_tiles(Plane& plane, Work& work, bool is_counted);
    void begin_low_bits(Work& work);
    void write();
    std::vector<uint8_t> alpha_section() const;
    static std::vector<uint8_t> payload_of(const Plane& plane, Header& header);

    Image image_;
    const EncodeOptions& options_;
    const ModelBank& models_;
    SampleCoding samples_;
    std::optional<Plane> colours_, alpha_;  // alpha_: where it varies
    std::optional<EncodeTile> by_usual_, by_photo_;  // a thumbnail, by both embedded models
    std::vector<std::vector<uint8_t>> low_bits_;     // a stream for each tile

    std::deque<CoefficientTile> coefficient_tiles_;

    Header header_;
    std::vector<uint8_t> file_;
};

}  // namespace ddpm
