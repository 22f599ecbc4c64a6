// Work shared by a few threads: results never depend on how many there are, because a task's result does not depend on who runs it.
#pragma once

namespace dgc {

int threadCount();
void setThreadCount(int threads);

// Calls function(context, task, thread) for every task in [0, tasks), on threads numbered from 0, and returns when all are done.
void runTasks(long tasks, void (*function)(void* context, long task, int thread), void* context);

template <typename Body>
void parallelFor(long tasks, Body body) {
  runTasks(tasks, [](void* context, long task, int thread) { (*static_cast<Body*>(context))(task, thread); }, &body);
}

// Memory of a thread's own that lasts until its next call with the same slot; 64-byte aligned, contents undefined.
constexpr int kScratchSlots = 5;
float* scratch(int thread, int slot, long elements);

}  // namespace dgc
