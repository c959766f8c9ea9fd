#include "jobs.h"

#include <algorithm>
#include <atomic>

namespace ddpm {

namespace {

constexpr uint64_t WORK_PIXELS = uint64_t(1) << 22;  // that are worked on at a time, so that many cores take no more memory

}  // namespace

bool JobQueue::advance(Clock::time_point deadline, int threads) {
    uint64_t largest = 1;
    for (const QueuedJob& queued : jobs_) largest = std::max(largest, queued.job->pixels());
    const int at_a_time = int(std::max<uint64_t>(1, WORK_PIXELS / largest));
    const int workers = std::max(1, std::min({threads, int(jobs_.size()), at_a_time}));
    const int threads_of_job = workers > 1 ? 1 : threads;
    std::atomic<size_t> next{0};
    run_threads(workers, [&](Team&, int) {
        for (size_t k; (k = next++) < jobs_.size();) {
            advance_job(jobs_[k], deadline, threads_of_job);
            if (Clock::now() >= deadline) return;
        }
    });
    std::erase_if(jobs_, [](const QueuedJob& queued) { return queued.is_done; });
    return jobs_.empty();
}

void JobQueue::advance_job(QueuedJob& queued, Clock::time_point deadline, int threads) {
    queued.is_done = queued.job->advance(deadline, threads);
    const std::vector<SegmentCost> costs = queued.job->take_costs();
    if (costs.empty()) return;
    const std::lock_guard<std::mutex> lock(costs_lock_);
    costs_.insert(costs_.end(), costs.begin(), costs.end());
}

}  // namespace ddpm
