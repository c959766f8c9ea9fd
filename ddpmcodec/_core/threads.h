// Threads that go through waves together. They live for one call only, so that a forked process finds none missing.
#pragma once
#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace ddpm {

// All threads wait for each other. Who waits looks for some microseconds, which is as long as a wave takes, then sleeps: on
// a busy machine the thread that is waited for may have no core.
class Barrier {
  public:
    explicit Barrier(int threads) : threads_(threads), waiting_(0), generation_(0) {}

    void wait() {
        if (threads_ == 1) return;
        const unsigned mine = generation_.load(std::memory_order_acquire);
        if (waiting_.fetch_add(1, std::memory_order_acq_rel) == threads_ - 1) {
            waiting_.store(0, std::memory_order_relaxed);
            {
                std::lock_guard<std::mutex> lock(mutex_);
                generation_.store(mine + 1, std::memory_order_release);
            }
            changed_.notify_all();
            return;
        }
        for (int look = 0; look < LOOKS; look++) {
            if (generation_.load(std::memory_order_acquire) != mine) return;
            pause();
        }
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != mine; });
    }

  private:
    static constexpr int LOOKS = 2000;

    static void pause() {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
        asm volatile("yield");
#endif
    }

    const int threads_;
    std::atomic<int> waiting_;
    std::atomic<unsigned> generation_;
    std::mutex mutex_;
    std::condition_variable changed_;
};

// Calls work(thread) in so many threads, this one among them. `work` must not throw.
inline void run_threads(int threads, const std::function<void(int)>& work) {
    std::vector<std::thread> others;
    others.reserve(size_t(threads) - 1);
    for (int t = 1; t < threads; t++) others.emplace_back(work, t);
    work(0);
    for (std::thread& other : others) other.join();
}

}  // namespace ddpm
