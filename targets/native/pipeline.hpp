// Items pass through several steps: all steps in one thread, or each step in a thread of its own.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

namespace edgec {

// `work` is called for each item. That of the first step makes the item. If `work` returns false, everything ends.
// `prepare` may be empty. It is called once, before there is any item, in the thread in which `work` is called later.
template <typename Item>
struct Step {
  std::function<bool(Item&)> work;
  std::function<void()> prepare;
};

// Items that wait between two steps. They are few, since waiting makes results late.
template <typename Item>
class Queue {
 public:
  // Waits until there is space. Returns false if the queue was closed.
  bool put(Item item) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || items_.size() < kMost; });
    if (closed_) return false;
    items_.push_back(std::move(item));
    changed_.notify_all();
    return true;
  }

  // Waits for an item. Returns false if the queue is empty and was closed.
  bool take(Item& item) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !items_.empty(); });
    if (items_.empty()) return false;
    item = std::move(items_.front());
    items_.pop_front();
    changed_.notify_all();
    return true;
  }

  void close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  static constexpr size_t kMost = 1;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;
  bool closed_ = false;
};

// Takes one item after the other through all steps, in this thread.
template <typename Item>
void in_turn(const std::vector<Step<Item>>& steps) {
  for (const Step<Item>& step : steps)
    if (step.prepare) step.prepare();
  for (;;) {
    Item item;
    for (const Step<Item>& step : steps)
      if (!step.work(item)) return;
  }
}

// Runs each step in a thread, the last step in the calling one. Items keep their order. An error in a step is thrown by
// `run` after the items before have passed the last step.
template <typename Item>
class Pipeline {
 public:
  explicit Pipeline(const std::vector<Step<Item>>& steps) : steps_(steps), queues_(steps.size() - 1), ready_(steps.size() - 1) {}

  ~Pipeline() {
    for (auto& queue : queues_) queue.close();
    for (std::thread& thread : threads_) thread.join();
  }

  void run() {
    std::vector<std::future<void>> prepared;
    for (auto& promise : ready_) prepared.push_back(promise.get_future());
    for (size_t i = 1; i + 1 < steps_.size(); ++i) threads_.emplace_back([this, i] { serve(i); });
    for (size_t i = 1; i < prepared.size(); ++i) prepared[i].get();
    threads_.emplace_back([this] { serve(0); });  // now that all others are prepared: no item waits for that
    prepared[0].get();
    const Step<Item>& last = steps_.back();
    if (last.prepare) last.prepare();
    for (Passed passed; queues_.back().take(passed);) {
      if (passed.error) std::rethrow_exception(passed.error);
      if (!last.work(passed.item)) return;
      passed = Passed();
    }
  }

 private:
  struct Passed {
    Item item;
    std::exception_ptr error;
  };

  void serve(size_t i) {
    const Step<Item>& step = steps_[i];
    try {
      if (step.prepare) step.prepare();
      ready_[i].set_value();
    } catch (...) {
      ready_[i].set_exception(std::current_exception());
      return;
    }
    for (bool more = true; more;) {
      Passed passed;
      if (i > 0 && !queues_[i - 1].take(passed)) break;
      if (!passed.error) {
        try {
          if (!step.work(passed.item)) break;
        } catch (...) {
          passed.error = std::current_exception();
        }
      }
      more = !passed.error;
      more = queues_[i].put(std::move(passed)) && more;
    }
    queues_[i].close();
    if (i > 0) queues_[i - 1].close();
  }

  const std::vector<Step<Item>>& steps_;
  std::vector<Queue<Passed>> queues_;
  std::vector<std::promise<void>> ready_;
  std::vector<std::thread> threads_;
};

}  // namespace edgec
