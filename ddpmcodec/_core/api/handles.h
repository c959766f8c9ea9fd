// What the pointers of ddpm.h point to.
#pragma once
#include <memory>
#include <mutex>

#include "coefficient_model.h"
#include "context_model.h"
#include "guard.h"
#include "open_archive.h"

struct ddpm_model {
    std::shared_ptr<const ddpm::ContextModel> model;
    std::shared_ptr<const ddpm::CoefficientModel> coefficients;  // one of both
};

struct ddpm_archive {
    std::shared_ptr<const ddpm::OpenArchive> archive;
};

struct ddpm_decoder {
    ddpm::Plan plan;
    int threads = 1;
    std::unique_ptr<ddpm::ImageDecoder> decoder;  // made by what needs it first: then the plan is settled
    ddpm::Decoder* file = nullptr;                // the same; null: it decodes an image that is coded with others
    ddpm_event event = DDPM_NEED_BYTES;
    bool has_payload = false;
    std::vector<uint8_t> payload;                 // a JPEG file, once it was asked for

    ddpm::LastError last_error;

    // The decoder of a file.
    ddpm::Decoder& begun() {
        if (!decoder) {
            auto made = std::make_unique<ddpm::Decoder>(plan);
            file = made.get();
            decoder = std::move(made);
        }
        ddpm::require(file, "the decoder has an image of an archive, and takes no other bytes");
        return *file;
    }
};

namespace ddpm {

// Bytes that a function of the caller's reads, called by one thread at a time.
class CallbackSource : public Source {
  public:
    CallbackSource(uint64_t size, ddpm_read read, void* user) : size_(size), read_(read), user_(user) {
        require(read, "the function that reads is NULL");
    }

    uint64_t size() const override { return size_; }
    void read(uint64_t offset, std::span<uint8_t> out) const override {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (read_(user_, offset, out.data(), out.size()))
            throw ReadError("the file cannot be read: " + std::to_string(out.size()) + " bytes from byte " + std::to_string(offset) + " on");
    }

  private:
    const uint64_t size_;
    const ddpm_read read_;
    void* const user_;
    mutable std::mutex mutex_;
};

}  // namespace ddpm
