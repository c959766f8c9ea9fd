// How exceptions become codes of ddpm.h, and what the caller learns of them.
#pragma once
#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

#include "structs.h"

namespace ddpm {

// What the caller's function reported. No Error: the decoder takes some of those for damage.
struct ReadError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void copy_text(const char* text, char* out, size_t capacity) noexcept {
    if (!capacity) return;
    const size_t length = std::min(std::strlen(text), capacity - 1);
    std::memcpy(out, text, length);
    out[length] = 0;
}

// What was wrong in the last call that failed.
class LastError {
  public:
    void set(ddpm_error kind, const char* text) const noexcept {
        kind_ = kind;
        copy_text(text, text_, sizeof text_);
    }
    ddpm_error kind() const noexcept { return kind_; }
    const char* text() const noexcept { return text_; }

  private:
    mutable ddpm_error kind_ = DDPM_OK;
    mutable char text_[1024] = "";  // never allocated: it also says that memory is exhausted
};

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
        return failed(DDPM_ERROR_MEMORY, "memory is exhausted: use fewer threads, or a smaller part of the image");
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

// Calls work with a handle, whose `last_error` keeps what it throws.
template <class Handle, class Work> ddpm_error guarded(const Handle* handle, Work work) noexcept {
    if (!handle) return DDPM_ERROR_ARGUMENT;
    return attempt([&](ddpm_error kind, const char* text) { handle->last_error.set(kind, text); }, work);
}

// The answer of functions that tell the last error. null_text: of a handle that is NULL.
template <class Handle> const char* error_text(const Handle* handle, ddpm_error* kind, const char* null_text) noexcept {
    if (kind) *kind = handle ? handle->last_error.kind() : DDPM_ERROR_ARGUMENT;
    return handle ? handle->last_error.text() : null_text;
}

}  // namespace ddpm
