// Threads that go through waves together. They live for one call only, so that a forked process finds none missing.
#pragma once
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "environment.h"

namespace ddpm {

inline constexpr int MOST_THREADS = 1024;  // that a caller may ask for

// Threads that work together, in one call of `run_threads`.
class Team {
  public:
    int threads() const { return threads_; }

    // All threads wait for each other; the last that comes calls `complete`, then all go on. Where one has thrown the others
    // leave, by `Left`.
    //
    // A thread that waits spins, as it takes long to be woken. Where it spun in vain, the thread that it waits for may have no
    // core, on a busy machine: so the next waits sleep at once, and ever more of them until spinning helps again.
    template <class Complete> void wait(Complete complete) {
        if (threads_ == 1) return complete();
        const unsigned mine = generation_.load(std::memory_order_acquire);
        if (waiting_.fetch_add(1, std::memory_order_acq_rel) == threads_ - 1) {
            complete();
            waiting_.store(0, std::memory_order_relaxed);
            {
                std::lock_guard<std::mutex> lock(mutex_);
                generation_.store(mine + 1, std::memory_order_release);
            }
            changed_.notify_all();
            return;
        }
        auto goes_on = [&] { return generation_.load(std::memory_order_acquire) != mine || failed_.load(std::memory_order_relaxed); };
        const int sleeps = sleeps_.load(std::memory_order_relaxed);
        if (sleeps == 0) {
            for (int spin = 0; spin < SPINS && !goes_on(); spin++) pause();
            const int next = next_sleeps_.load(std::memory_order_relaxed);
            const bool helped = goes_on();
            if (!helped) sleeps_.store(next, std::memory_order_relaxed);
            next_sleeps_.store(helped ? FIRST_SLEEPS : std::min(2 * next, MOST_SLEEPS), std::memory_order_relaxed);
        } else {
            sleeps_.store(sleeps - 1, std::memory_order_relaxed);
        }
        if (!goes_on()) {
            std::unique_lock<std::mutex> lock(mutex_);
            changed_.wait(lock, goes_on);
        }
        if (generation_.load(std::memory_order_acquire) == mine) throw Left();
    }
    void wait() {
        wait([] {});
    }

  private:
    friend void run_threads(int, const std::function<void(Team&, int)>&);

    struct Left {};

    static constexpr int SPINS = 20000;  // a millisecond at most, ten times as long as a wave takes
    static constexpr int FIRST_SLEEPS = 6, MOST_SLEEPS = 1024;

    static void pause() {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
        asm volatile("yield");
#endif
    }

    // Begins the work of all, now that their number is known.
    void begin(int threads) {
        std::lock_guard<std::mutex> lock(mutex_);
        threads_ = threads;
        changed_.notify_all();
    }

    void wait_for_begin() {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return threads_ > 0; });
    }

    // Calls work, whose arithmetic is exact, and keeps the first exception of all threads.
    void run(const std::function<void(Team&, int)>& work, int thread) {
        const IeeeArithmetic arithmetic;
        try {
            work(*this, thread);
        } catch (const Left&) {
        } catch (...) {
            std::lock_guard<std::mutex> lock(mutex_);
            if (!error_) error_ = std::current_exception();
            failed_.store(true);
            changed_.notify_all();
        }
    }

    int threads_ = 0;
    std::atomic<int> waiting_{0};
    std::atomic<unsigned> generation_{0};
    std::atomic<bool> failed_{false};
    std::atomic<int> sleeps_{0}, next_sleeps_{FIRST_SLEEPS};  // waits without spinning: left now; after the next in vain
    std::exception_ptr error_;
    std::mutex mutex_;
    std::condition_variable changed_;
};

// The part [first, last) of `count` things that one of `threads` threads does.
struct ThreadPart {
    int first, last;

    ThreadPart(int count, int thread, int threads) : first(edge(count, thread, threads)), last(edge(count, thread + 1, threads)) {}

  private:
    static int edge(int count, int part, int parts) { return int(int64_t(count) * part / parts); }
};

// Calls work(team, thread) in `wanted` threads, this one among them, or in fewer where the system has no more. What one of
// them throws, it throws once all have ended.
inline void run_threads(int wanted, const std::function<void(Team&, int)>& work) {
    Team team;
    std::vector<std::thread> others;
    others.reserve(size_t(wanted) - 1);
    try {
        for (int t = 1; t < wanted; t++)
            others.emplace_back([&team, &work, t] {
                team.wait_for_begin();
                team.run(work, t);
            });
    } catch (const std::exception&) {  // no memory for its stack, or too many processes
    }
    team.begin(int(others.size()) + 1);
    team.run(work, 0);
    for (std::thread& other : others) other.join();
    if (team.error_) std::rethrow_exception(team.error_);
}

}  // namespace ddpm
