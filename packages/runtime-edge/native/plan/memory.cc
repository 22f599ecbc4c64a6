#include <algorithm>

#include "plan.h"
#include "select.h"
#include "views.h"

namespace dgc::edge {

void* Plan::allocate(uint64_t bytes, Status& status) {
  if (memory_limit != 0 && (bytes > memory_limit || packed_bytes > memory_limit - bytes)) {
    status.fail(DGC_OUT_OF_MEMORY, "the network needs more than the limit of %llu bytes", static_cast<unsigned long long>(memory_limit));
    return nullptr;
  }
  void* memory = AlignedBuffer::allocate_aligned(bytes);
  if (memory == nullptr) status.fail(DGC_OUT_OF_MEMORY, "no memory for %llu bytes of weights", static_cast<unsigned long long>(bytes));
  else owned.push(memory);
  return memory;
}

namespace {

constexpr uint32_t kNever = UINT32_MAX;

struct Life {
  uint32_t first = kNever;  // step that writes it first
  uint32_t last = 0;        // step that touches it last
  uint32_t writers = 0;
};

struct Span {
  uint64_t begin, end;
};

// What a value takes in the arena: such that the next one does not begin at the same place of a page. Sizes are often multiples of
// one, and an op's input and output would then want the same few sets of the first-level cache.
uint64_t staggered(uint64_t bytes) {
  constexpr uint64_t kPage = 4096, kShift = 17 * kBufferAlignment;
  const uint64_t pages = bytes <= kShift ? 0 : (bytes - kShift + kPage - 1) / kPage;
  return pages * kPage + kShift;
}

class MemoryPlanner {
 public:
  MemoryPlanner(const File& file, Plan& plan, Status& status) : file_(file), plan_(plan), status_(status) {}

  bool run() {
    if (!bind_outputs()) return false;
    view_concatenations(plan_);
    measure_lives();
    merge_in_place();
    return assign_arena() && measure_scratch();
  }

 private:
  // An output that nothing computes into (an input, a constant, or a value that is two outputs) is copied at the end.
  bool bind_outputs() {
    for (size_t i = 0; i < file_.outputs.size(); ++i) {
      const int32_t source = plan_.root(int32_t(file_.outputs[i].tensor));
      Value& value = plan_.values[source];
      if (value.place == Place::None) {
        value.place = Place::Output;
        value.border = uint32_t(i);
        continue;
      }
      Value copy;
      copy.floats = value.floats;
      copy.batched = value.batched;
      copy.place = Place::Output;
      copy.border = uint32_t(i);
      Step step;
      memset(&step.desc, 0, sizeof(step.desc));
      step.kind = StepKind::Copy;
      step.op = file_.ops.empty() ? 0 : uint32_t(file_.ops.size() - 1);
      step.batched = value.batched;
      step.cost = value.floats;
      CopyDesc& desc = step.desc.copy;
      desc.rank = 2;
      desc.dims[0] = 1;
      desc.dims[1] = desc.input_strides[0] = desc.output_strides[0] = value.floats;
      desc.input_strides[1] = desc.output_strides[1] = 1;
      step.inputs[step.input_count++] = {source, 0};
      plan_.values.push(copy);
      step.output = {int32_t(plan_.values.size() - 1), 0};
      select_kernel(*plan_.kernels, step);
      plan_.steps.push(step);
    }
    return true;
  }

  void measure_lives() {
    lives_.resize(plan_.values.size());
    for (uint32_t s = 0; s < plan_.steps.size(); ++s) {
      const Step& step = plan_.steps[s];
      for (int32_t i = 0; i < step.input_count; ++i) lives_[plan_.root(step.inputs[i].value)].last = s;
      Life& life = lives_[plan_.root(step.output.value)];
      life.first = std::min(life.first, s);
      life.last = std::max(life.last, s);
      ++life.writers;
    }
  }

  void merge_in_place() {
    for (uint32_t s = 0; s < plan_.steps.size(); ++s) {
      const Step& step = plan_.steps[s];
      for (int32_t i = 0; i < step.input_count; ++i) {
        if ((step.in_place >> i & 1) == 0) continue;
        const int32_t from = plan_.root(step.inputs[i].value), to = plan_.root(step.output.value);
        if (from == to) break;
        Value &source = plan_.values[from], &target = plan_.values[to];
        const Life& life = lives_[to];
        const bool whole = step.inputs[i].offset == 0 && step.output.offset == 0 && life.first == s && life.writers == 1;
        const bool same = source.floats == target.floats && source.batched == target.batched;
        bool separate = true;  // of a convolution's input
        if (step.kind == StepKind::Conv) separate = plan_.root(step.inputs[0].value) != from;
        if (!whole || !same || !separate || source.place != Place::None || lives_[from].last != s) continue;
        source.place = target.place;
        source.border = target.border;
        target.alias_of = from;
        lives_[from].last = life.last;
        lives_[from].writers += 1;
        break;
      }
    }
  }

  // In the order of the steps: the smallest gap that is large enough, else the end.
  bool assign_arena() {
    const uint32_t steps = uint32_t(plan_.steps.size());
    Array<int32_t> roots;
    for (size_t v = 0; v < plan_.values.size(); ++v)
      if (plan_.values[v].alias_of < 0 && plan_.values[v].place == Place::None && lives_[v].first != kNever) roots.push(int32_t(v));
    Array<int32_t> by_end(roots.size(), 0);
    for (size_t i = 0; i < roots.size(); ++i) by_end[i] = roots[i];
    std::sort(roots.begin(), roots.end(), [&](int32_t a, int32_t b) { return lives_[a].first != lives_[b].first ? lives_[a].first < lives_[b].first : a < b; });
    std::sort(by_end.begin(), by_end.end(), [&](int32_t a, int32_t b) { return lives_[a].last != lives_[b].last ? lives_[a].last < lives_[b].last : a < b; });
    Array<Span> used;  // ascending
    size_t next = 0, ended = 0;
    for (uint32_t s = 0; s < steps; ++s) {
      for (; next < roots.size() && lives_[roots[next]].first == s; ++next) {
        Value& value = plan_.values[roots[next]];
        const uint64_t copies = value.batched ? uint64_t(plan_.max_batch) : 1;
        const uint64_t bytes = staggered(uint64_t(value.floats) * copies * sizeof(float));
        uint64_t at = 0, best = UINT64_MAX, best_gap = UINT64_MAX;
        size_t place = used.size(), best_place = used.size();
        for (size_t u = 0; u < used.size(); ++u) {
          const uint64_t gap = used[u].begin - at;
          if (gap >= bytes && gap < best_gap) {
            best = at;
            best_gap = gap;
            best_place = u;
          }
          at = used[u].end;
        }
        if (best == UINT64_MAX) {
          best = at;
          best_place = place;
        }
        used.insert(best_place, {best, best + bytes});
        value.place = Place::Arena;
        value.arena_offset = best;
        plan_.arena_bytes = std::max(plan_.arena_bytes, best + bytes);
      }
      for (; ended < by_end.size() && lives_[by_end[ended]].last == s; ++ended) {
        const uint64_t begin = plan_.values[by_end[ended]].arena_offset;
        const Span* span = std::lower_bound(used.begin(), used.end(), begin, [](const Span& a, uint64_t at) { return a.begin < at; });
        used.erase(size_t(span - used.begin()));
      }
    }
    if (plan_.memory_limit != 0 && (plan_.arena_bytes > plan_.memory_limit || plan_.packed_bytes > plan_.memory_limit - plan_.arena_bytes))
      return status_.fail(DGC_OUT_OF_MEMORY, "the network needs %llu bytes for weights and activations, the limit is %llu",
                          static_cast<unsigned long long>(plan_.packed_bytes + plan_.arena_bytes), static_cast<unsigned long long>(plan_.memory_limit));
    return true;
  }

  bool measure_scratch() {
    for (const Step& step : plan_.steps)
      for (const int32_t batch : {1, plan_.max_batch}) {
        const uint64_t bytes = scratch_bytes(step, with_batch(step, step.batched ? batch : 1));
        plan_.scratch_bytes = std::max(plan_.scratch_bytes, bytes);
      }
    return true;
  }

  const File& file_;
  Plan& plan_;
  Status& status_;
  Array<Life> lives_;
};

}  // namespace

bool plan_memory(const File& file, Plan& plan, Status& status) { return MemoryPlanner(file, plan, status).run(); }

}  // namespace dgc::edge
