// Decodes an image that an archive codes together with others, in a run. The archive keeps the run for the images that are decoded next.
#pragma once
#include <optional>

#include "batch.h"
#include "canvas.h"
#include "image_decoder.h"
#include "open_archive.h"
#include "plan.h"

namespace ddpm {

class MemberDecoder : public ImageDecoder {
  public:
    // member: in a block by the context model. There are no previews: the plan's step is ignored.
    MemberDecoder(std::shared_ptr<const OpenArchive> archive, const Member& member, const Plan& plan);

    void set_networks(const std::vector<std::shared_ptr<const Trained>>& networks) override { model_ = model_of(networks, header_.levels); }
    bool needs_alpha_networks() const override { return entry_.is_alpha_in_run() && !alpha_model_; }
    void set_alpha_networks(const std::vector<std::shared_ptr<const Trained>>& networks) override { alpha_model_ = model_of(networks, 0); }
    Event advance(double seconds, int threads) override;

    // As a file would have it, but that nothing in it has a length.
    const Header* header() const override { return has_begun_ ? &header_ : nullptr; }
    Picture picture(int threads) override;
    const Metadata& metadata() const override { return metadata_; }
    Verdict verdict() const override { return verdict_; }

  private:
    // A stream of a run, and what it holds.
    struct Stream {
        bool is_alpha;
        ByteRange bytes;
        uint64_t length;
        int state_bytes, images, channels, levels;
        bool repeats;
    };

    void make_plan();
    void read_alpha(const Parts& parts);
    std::optional<Event> decode_alpha(double seconds, int threads);
    void place_alpha(const std::vector<uint8_t>& planes);
    void read_metadata(const Parts& parts);
    OpenArchive::Pixels decoded(const Stream& stream, const Model& model, double seconds, int threads);
    Stream stream_of_colours() const;
    Stream stream_of_alpha() const;
    size_t place_in_alpha_stream() const;
    void place(const std::vector<uint8_t>& run);

    const std::shared_ptr<const OpenArchive> archive_;
    const Member member_;
    const Block& block_;
    const Entry& entry_;
    const Plan plan_;
    const Header header_;
    std::optional<Canvas> canvas_;  // once the plan was found to fit
    Alpha alpha_;
    Metadata metadata_;
    std::optional<Model> model_, alpha_model_;
    std::optional<Batch> batch_;
    Verdict verdict_;
    bool has_begun_ = false, has_read_alpha_ = true, is_done_ = false;
};

}  // namespace ddpm
