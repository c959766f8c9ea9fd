// What the pointers of ddpm.h point to, and how exceptions become codes.
#pragma once
#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string>

#include "coefficient_model.h"
#include "context_model.h"
#include "open_archive.h"
#include "structs.h"

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

    mutable ddpm_error error = DDPM_OK;
    mutable char message[1024] = "";              // never allocated: it also says that memory is exhausted

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

// What the caller's function reported. No Error: the decoder takes some of those for damage.
struct ReadError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

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

inline void copy_text(const char* text, char* out, size_t capacity) noexcept {
    if (!capacity) return;
    const size_t length = std::min(std::strlen(text), capacity - 1);
    std::memcpy(out, text, length);
    out[length] = 0;
}

// Calls work, and gives report(kind, message) what it throws.
template <class Report, class Work> ddpm_error attempt(Report report, Work work) noexcept {
    auto failed = [&](ddpm_error kind, const char* message) { return report(kind, message), kind; };
    try {
        work();
        return DDPM_OK;
    } catch (const Error& error) {
        return failed(error_of(error.fault), error.what());
    } catch (const ReadError& error) {
        return failed(DDPM_ERROR_READ, error.what());
    } catch (const std::bad_alloc&) {
        return failed(DDPM_ERROR_MEMORY, "memory is exhausted: decode a smaller part, or with fewer threads");
    } catch (const std::length_error&) {
        return failed(DDPM_ERROR_MEMORY, "the data is larger than the address space");
    } catch (const std::exception& error) {
        return failed(DDPM_ERROR_INTERNAL, error.what());
    } catch (...) {
        return failed(DDPM_ERROR_INTERNAL, "an unknown exception");
    }
}

// Calls work that makes something for the caller, and puts what it throws into a buffer of the caller's.
template <class Work> ddpm_error loading(char* message, size_t message_size, Work work) noexcept {
    if (!message) message_size = 0;
    copy_text("", message, message_size);
    return attempt([&](ddpm_error, const char* text) { copy_text(text, message, message_size); }, work);
}

// Calls work with a decoder, which keeps what it throws.
template <class Work> ddpm_error guarded(const ddpm_decoder* decoder, Work work) noexcept {
    if (!decoder) return DDPM_ERROR_ARGUMENT;
    auto report = [&](ddpm_error kind, const char* message) {
        decoder->error = kind;
        copy_text(message, decoder->message, sizeof decoder->message);
    };
    return attempt(report, work);
}

}  // namespace ddpm
