// Mutations of .edge files that know the format: sections, tensor records, op records; and repairs, which put right what a
// refusal complains about (checksum, size, a derived shape, a constant's size), so that mutants get past the reader.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "native/plan/array.h"
#include "native/plan/crc32c.h"
#include "native/plan/schema.h"

namespace dgc::fuzz {

using Bytes = edge::Array<uint8_t>;

struct Random {
  uint64_t state;
  uint32_t next() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return uint32_t(state >> 33);
  }
  uint32_t below(uint32_t bound) { return bound == 0 ? 0 : next() % bound; }
};

class EdgeMutator {
 public:
  EdgeMutator(Bytes& bytes, Random& random) : bytes_(bytes), random_(random) { find_sections(); }

  void mutate() {
    for (uint32_t count = 1 + random_.below(4); count > 0 && bytes_.size() > 20; --count) {
      switch (random_.below(10)) {
        case 0: change_word(16, bytes_.size() - 16); break;
        case 1: change_word(24, 40 + 24 * 8); break;
        case 2:
        case 3: change_op_word(); break;
        case 4: rewire_op(); break;
        case 5: change_tensor(); break;
        case 6: replace_size(); break;
        case 7: copy_op_fields(); break;
        case 8: remove_op(); break;
        default:
          if (random_.below(16) == 0) bytes_.resize(16 + random_.below(uint32_t(bytes_.size() - 16)));
          else change_word(constants_.offset, constants_.bytes);
      }
    }
    seal();
  }

  // Whether something was changed that the refusal was about.
  bool repair(const char* message) {
    unsigned op = 0;
    if (sscanf(message, "op %u ", &op) != 1) return false;
    const size_t record = op_at(op);
    if (record == 0) return false;
    bool changed = false;
    unsigned long long has = 0, pairs = 0, patch = 0;
    const char* at = strstr(message, "its output is [");
    if (at != nullptr) {
      changed = write_shape(word(record + 8), at + strlen("its output is ["));
    } else if ((at = strstr(message, " has ")) != nullptr && (sscanf(at, " has %llu elements, needed are %llu connections × %llu", &has, &pairs, &patch) == 3 ||
                                                               sscanf(at, " has %llu elements, needed are %llu × %llu", &has, &pairs, &patch) == 3)) {
      changed = pairs * patch <= constants_.bytes / 4 && resize_constant(record, has, pairs * patch);
    }
    if (changed) seal();
    return changed;
  }

 private:
  struct Section {
    size_t offset = 0, bytes = 0;
  };

  uint32_t word(size_t at) const {
    uint32_t value = 0;
    if (at + 4 <= bytes_.size()) memcpy(&value, bytes_.data() + at, 4);
    return value;
  }
  void put(size_t at, uint32_t value) {
    if (at + 4 <= bytes_.size()) memcpy(bytes_.data() + at, &value, 4);
  }

  void find_sections() {
    for (uint32_t i = 0; i < 8 && i < word(32); ++i) {
      const size_t at = 64 + size_t{i} * 24;
      const Section section = {word(at + 8), word(at + 16)};
      if (section.offset > bytes_.size() || section.bytes > bytes_.size() - section.offset) continue;
      if (word(at) == uint32_t(edge::SectionKind::Tensors)) tensors_ = section;
      if (word(at) == uint32_t(edge::SectionKind::Ops)) ops_ = section;
      if (word(at) == uint32_t(edge::SectionKind::Constants)) constants_ = section;
    }
  }

  uint32_t tensor_count() const { return uint32_t(tensors_.bytes / edge::kTensorBytes); }
  uint32_t op_count() const {
    uint32_t count = 0;
    while (op_at(count) != 0) ++count;
    return count;
  }
  // 0: there is none whose words are all there.
  size_t op_at(uint32_t index) const {
    const size_t end = ops_.offset + ops_.bytes;
    for (uint64_t at = ops_.offset; at + 16 <= end; at += 4 * uint64_t{word(at + 4)}) {
      if (word(at + 4) < 4 || 4 * uint64_t{word(at + 4)} > end - at) return 0;
      if (index-- == 0) return at;
    }
    return 0;
  }

  uint32_t strange(uint32_t value) {
    constexpr uint32_t kTelling[] = {0, 1, 2, 3, 4, 8, 255, 65535, 0x7fffffff, 0x80000000, 0xffffffff, 0x3fffffff};
    switch (random_.below(6)) {
      case 0: return kTelling[random_.below(sizeof(kTelling) / sizeof(uint32_t))];
      case 1: return value ^ 1u << random_.below(32);
      case 2:
      case 3: return value + random_.below(9) - 4;
      case 4: return random_.below(24);
      default: return word(16 + 4 * size_t(random_.below(uint32_t((bytes_.size() - 16) / 4))));
    }
  }

  void change_word(size_t offset, size_t bytes) {
    const size_t at = offset + 4 * size_t(random_.below(uint32_t(bytes / 4)));
    put(at, strange(word(at)));
  }

  void change_op_word() {
    const size_t record = op_at(random_.below(op_count()));
    if (record != 0) change_word(record, 4 * size_t{word(record + 4)});
  }

  // Another tensor as an input or as the output.
  void rewire_op() {
    const size_t record = op_at(random_.below(op_count()));
    if (record == 0) return;
    const uint32_t inputs = word(record + 12), slot = random_.below(inputs + 1);
    put(slot == inputs ? record + 8 : record + 16 + 4 * size_t{slot}, random_.below(tensor_count()));
  }

  void change_tensor() {
    if (tensor_count() == 0) return;
    const size_t record = tensors_.offset + size_t{random_.below(tensor_count())} * edge::kTensorBytes;
    const size_t at = record + (random_.below(2) == 0 ? 8 + 4 * size_t(random_.below(word(record + 4) & 7)) : 4 * size_t(random_.below(edge::kTensorBytes / 4)));
    put(at, strange(word(at)));
  }

  // One size wherever it occurs: as dimension of tensors and in the fields of ops, so that shapes agree again.
  void replace_size() {
    if (tensor_count() == 0) return;
    const size_t chosen = tensors_.offset + size_t{random_.below(tensor_count())} * edge::kTensorBytes;
    const uint32_t from = word(chosen + 8 + 4 * size_t(random_.below(word(chosen + 4) & 7)));
    const uint32_t to = random_.below(3) == 0 ? strange(from) : 1 + random_.below(20);
    for (uint32_t t = 0; t < tensor_count(); ++t) {
      const size_t record = tensors_.offset + size_t{t} * edge::kTensorBytes;
      const uint32_t rank = word(record + 4);
      uint64_t elements = 1;
      for (uint32_t d = 0; d < rank && d < 8; ++d) {
        if (word(record + 8 + 4 * d) == from) put(record + 8 + 4 * d, to);
        elements = elements * word(record + 8 + 4 * d) & 0xffffffff;
      }
      if (word(record + 80) == 1 && elements * 4 <= constants_.bytes) put_constant(record, uint32_t(elements));
    }
    if (random_.below(4) == 0) return;
    for (size_t at = ops_.offset; at < ops_.offset + ops_.bytes; at += 4)
      if (word(at) == from && random_.below(4) != 0) put(at, to);
  }

  // Fields of one op into another, as many as fit.
  void copy_op_fields() {
    const uint32_t count = op_count();
    const size_t from = op_at(random_.below(count)), to = op_at(random_.below(count));
    if (from == 0 || to == 0) return;
    const size_t first = 4 + size_t{word(from + 12) & 0xff}, second = 4 + size_t{word(to + 12) & 0xff};
    if (random_.below(2) == 0) put(to, word(from));
    for (size_t i = 0; first + i < word(from + 4) && second + i < word(to + 4); ++i) put(to + 4 * (second + i), word(from + 4 * (first + i)));
  }

  // The words of one op go, what follows moves up; the section's declared size follows.
  void remove_op() {
    const size_t record = op_at(random_.below(op_count()));
    if (record == 0 || random_.below(4) != 0) return;
    const size_t bytes = 4 * size_t{word(record + 4)}, end = ops_.offset + ops_.bytes;
    memmove(bytes_.data() + record, bytes_.data() + record + bytes, end - record - bytes);
    ops_.bytes -= bytes;
    for (uint32_t i = 0; i < 8 && i < word(32); ++i)
      if (word(64 + size_t{i} * 24) == uint32_t(edge::SectionKind::Ops)) put(64 + size_t{i} * 24 + 16, uint32_t(ops_.bytes));
  }

  bool write_shape(uint32_t tensor, const char* text) {
    if (tensor >= tensor_count()) return false;
    const size_t record = tensors_.offset + size_t{tensor} * edge::kTensorBytes;
    uint32_t rank = 0;
    for (; rank < 8 && *text != ']' && *text != 0; ++rank) {
      char* end;
      put(record + 8 + 4 * rank, uint32_t(strtoul(text, &end, 10)));
      text = *end == ',' ? end + 2 : end;
    }
    put(record + 4, rank);
    return true;
  }

  // A constant of the op that has `has` elements gets `elements`, at the beginning of the section.
  bool resize_constant(size_t op, uint64_t has, uint64_t elements) {
    for (size_t w = word(op + 4); w-- > 4 + size_t{word(op + 12) & 0xfff};) {
      const uint32_t tensor = word(op + 4 * w);
      if (tensor >= tensor_count()) continue;
      const size_t record = tensors_.offset + size_t{tensor} * edge::kTensorBytes;
      if (word(record + 80) != 1 || word(record + 72) != has * 4) continue;
      put(record + 4, 1);
      put(record + 8, uint32_t(elements));
      put_constant(record, uint32_t(elements));
      return true;
    }
    return false;
  }
  void put_constant(size_t record, uint32_t elements) {
    put(record + 72, elements * 4);
    if (uint64_t{word(record + 64)} + uint64_t{elements} * 4 > constants_.bytes) put(record + 64, 0);
  }

  void seal() {
    if (bytes_.size() < 64) return;
    if (random_.below(32) != 0) {
      const uint64_t size = bytes_.size();
      memcpy(bytes_.data() + 16, &size, 8);
    }
    put(8, edge::crc32c(bytes_.data() + 16, bytes_.size() - 16));
  }

  Bytes& bytes_;
  Random& random_;
  Section tensors_, ops_, constants_;
};

}  // namespace dgc::fuzz
