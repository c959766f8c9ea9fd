// Work that encoders hand to threads: jobs that do not depend on each other, each of which goes on from call to call.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "timed_pass.h"

namespace ddpm {

class Job {
  public:
    virtual ~Job() = default;

    // Works until all is done: then it returns true; false at the deadline or some hundredths of a second after it. threads: that it may use.
    virtual bool advance(Clock::time_point deadline, int threads) = 0;
    virtual uint64_t pixels() const { return 1; }                     // that take memory while it works
    virtual std::vector<SegmentCost> take_costs() { return {}; }      // those of segments that were done since the last call
};

class JobQueue {
  public:
    void add(std::unique_ptr<Job> job) { jobs_.push_back({std::move(job), false}); }
    // Throws what a job throws.
    bool advance(Clock::time_point deadline, int threads);

    std::vector<SegmentCost> take_costs() { return std::exchange(costs_, {}); }

  private:
    struct QueuedJob {
        std::unique_ptr<Job> job;
        bool is_done;
    };

    void advance_job(QueuedJob& queued, Clock::time_point deadline, int threads);

    std::vector<QueuedJob> jobs_;
    std::vector<SegmentCost> costs_;
    std::mutex costs_lock_;
};

}  // namespace ddpm
