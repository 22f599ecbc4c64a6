#include "reader.h"

#include <initializer_list>

#include "crc32c.h"

namespace dgc::edge {
namespace {

struct Section {
  bool present = false;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

uint32_t u32_at(const uint8_t* at) {
  uint32_t value;
  memcpy(&value, at, 4);
  return value;
}
uint64_t u64_at(const uint8_t* at) {
  uint64_t value;
  memcpy(&value, at, 8);
  return value;
}
float f32_at(const uint8_t* at) {
  float value;
  memcpy(&value, at, 4);
  return value;
}

class Reader {
 public:
  Reader(const uint8_t* bytes, size_t size, File& file, Status& status)
      : bytes_(bytes), size_(size), file_(file), status_(status) {}

  bool read() {
    return header() && section_table() && tensors() && ops() && borders() && production() && test_vectors();
  }

 private:
  static constexpr uint32_t kSectionKinds = enum_count<SectionKind>();

  __attribute__((format(printf, 2, 3))) bool invalid(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    status_.vfail(DGC_INVALID_FILE, format, arguments);
    va_end(arguments);
    return false;
  }

  bool header() {
    if (size_ < kHeaderBytes) return invalid("the file has %zu bytes, fewer than a .edge header's %u", size_, kHeaderBytes);
    if (memcmp(bytes_, "DGCE", 4) != 0) return invalid("the file does not begin with DGCE: it is no .edge file, such as dgconv compile makes of a model");
    const uint32_t version = u32_at(bytes_ + 4);
    if (version >> 16 != kVersionMajor)
      return status_.fail(DGC_UNSUPPORTED, "the file has version %u.%u, this runtime reads %u.x", version >> 16, version & 0xffff, kVersionMajor);
    file_.minor = version & 0xffff;
    const uint64_t declared = u64_at(bytes_ + 16);
    if (declared != size_)
      return invalid("the header declares %llu bytes but the file has %zu: it is cut off or has something appended", static_cast<unsigned long long>(declared), size_);
    const uint32_t crc = crc32c(bytes_ + 16, size_ - 16);
    if (u32_at(bytes_ + 8) != crc) return invalid("the checksum is %08x but the header says %08x: the file is damaged", crc, u32_at(bytes_ + 8));
    if (u32_at(bytes_ + 12) != 0) return status_.fail(DGC_UNSUPPORTED, "the header's flags are %08x, version 1 defines none", u32_at(bytes_ + 12));
    const uint64_t features = u64_at(bytes_ + 24);
    if ((features & ~uint64_t{kKnownFeatures}) != 0)
      return status_.fail(DGC_UNSUPPORTED, "the file requires the features %llx, which this runtime does not have", static_cast<unsigned long long>(features));
    return true;
  }

  bool section_table() {
    const uint32_t count = u32_at(bytes_ + 32);
    if (count > kMaxSections || size_ - kHeaderBytes < uint64_t{count} * kSectionBytes)
      return invalid("the header declares %u sections, which do not fit", count);
    for (uint32_t i = 0; i < count; ++i) {
      const uint8_t* at = bytes_ + kHeaderBytes + i * kSectionBytes;
      const uint32_t kind = u32_at(at), required = u32_at(at + 4);
      const uint64_t offset = u64_at(at + 8), bytes = u64_at(at + 16);
      if (offset > size_ || bytes > size_ - offset) return invalid("section %u reaches beyond the end of the file", i);
      if (kind >= kSectionKinds) {
        if (required != 0) return status_.fail(DGC_UNSUPPORTED, "the file requires a section of the unknown kind %u", kind);
        continue;
      }
      const char* name = EnumInfo<SectionKind>::kNames[kind];
      if (sections_[kind].present) return invalid("the section '%s' occurs twice", name);
      const uint32_t alignment = kind == uint32_t(SectionKind::Constants) ? kConstantAlignment : 8;
      if (offset % alignment != 0) return invalid("the section '%s' is not aligned to %u bytes", name, alignment);
      sections_[kind] = {true, offset, bytes};
    }
    for (SectionKind kind : {SectionKind::Strings, SectionKind::Tensors, SectionKind::Ops, SectionKind::Borders, SectionKind::Constants})
      if (!of(kind).present) return invalid("the section '%s' is missing", EnumInfo<SectionKind>::kNames[uint32_t(kind)]);
    if (of(SectionKind::Metadata).present) {
      const Section& section = of(SectionKind::Metadata);
      if (section.bytes > UINT32_MAX) return invalid("the metadata have more than 4 GB");
      file_.metadata = {reinterpret_cast<const char*>(bytes_ + section.offset), uint32_t(section.bytes)};
    }
    return true;
  }

  bool text(uint32_t offset, uint32_t size, Text& out, const char* of_what, uint32_t index) {
    const Section& strings = of(SectionKind::Strings);
    if (offset > strings.bytes || size > strings.bytes - offset) return invalid("the name of %s %u is outside of the section 'strings'", of_what, index);
    out = {reinterpret_cast<const char*>(bytes_ + strings.offset + offset), size};
    return true;
  }

  bool tensors() {
    const Section& section = of(SectionKind::Tensors);
    const Section& constants = of(SectionKind::Constants);
    if (section.bytes % kTensorBytes != 0 || section.bytes / kTensorBytes > kMaxTensors)
      return invalid("the section 'tensors' has %llu bytes, no multiple of %u up to %u tensors", static_cast<unsigned long long>(section.bytes), kTensorBytes, kMaxTensors);
    const uint32_t count = uint32_t(section.bytes / kTensorBytes);
    file_.tensors.resize(count);
    for (uint32_t i = 0; i < count; ++i) {
      const uint8_t* at = bytes_ + section.offset + uint64_t{i} * kTensorBytes;
      Tensor& tensor = file_.tensors[i];
      const uint32_t dtype = u32_at(at), rank = u32_at(at + 4), constant = u32_at(at + 80);
      if (dtype >= enum_count<DataType>()) return invalid("tensor %u has the unknown type %u", i, dtype);
      if (dtype != uint32_t(DataType::Float32))
        return status_.fail(DGC_UNSUPPORTED, "tensor %u has type %s; this version runs float32 only", i, EnumInfo<DataType>::kNames[dtype]);
      if (constant > 1) return invalid("the kind of tensor %u is %u, allowed are 0 (value) and 1 (constant)", i, constant);
      if (rank > kMaxRank) return invalid("tensor %u has rank %u, allowed are at most %u", i, rank, kMaxRank);
      tensor.shape.rank = int32_t(rank);
      int64_t elements = 1;
      for (uint32_t d = 0; d < rank; ++d) {
        const uint32_t dim = u32_at(at + 8 + 4 * d);
        const uint32_t smallest = 1 - constant;  // the kernel of a convolution without connections is empty
        if (dim < smallest || dim > kMaxDimension) return invalid("dimension %u of tensor %u is %u, allowed are %u to %u", d, i, dim, smallest, kMaxDimension);
        tensor.shape.dims[d] = dim;
        elements *= dim;
        if (elements > kMaxElements) return invalid("tensor %u has more than %u elements", i, kMaxElements);
      }
      if (!text(u32_at(at + 40), u32_at(at + 44), tensor.name, "tensor", i)) return false;
      if (constant == 1) {
        const uint64_t offset = u64_at(at + 64), bytes = u64_at(at + 72);
        if (offset % kConstantAlignment != 0) return invalid("the data of tensor %u are not aligned to %u bytes", i, kConstantAlignment);
        if (offset > constants.bytes || bytes > constants.bytes - offset) return invalid("the data of tensor %u reach beyond the section 'constants'", i);
        if (bytes != uint64_t(elements) * 4) return invalid("tensor %u has %lld elements but %llu bytes of data", i, static_cast<long long>(elements), static_cast<unsigned long long>(bytes));
        tensor.data = reinterpret_cast<const float*>(bytes_ + constants.offset + offset);
      }
    }
    return true;
  }

  bool ops() {
    const Section& section = of(SectionKind::Ops);
    if (section.bytes % 4 != 0) return invalid("the section 'ops' has %llu bytes, no multiple of 4", static_cast<unsigned long long>(section.bytes));
    const uint32_t* at = reinterpret_cast<const uint32_t*>(bytes_ + section.offset);
    const uint32_t* end = at + section.bytes / 4;
    while (at < end) {
      OpRecord op;
      op.index = uint32_t(file_.ops.size());
      if (op.index == kMaxOps) return invalid("the file has more than %u ops", kMaxOps);
      if (end - at < 4) return invalid("op %u is cut off", op.index);
      op.code = at[0];
      const uint32_t words = at[1], inputs = at[3];
      op.output = at[2];
      if (words < 4 || words > uint64_t(end - at)) return invalid("op %u declares %u words, of which %lld are there", op.index, words, static_cast<long long>(end - at));
      if (inputs > words - 4) return invalid("op %u declares %u inputs, more than fit into its %u words", op.index, inputs, words);
      op.inputs = {at + 4, inputs};
      op.fields = at + 4 + inputs;
      op.fields_end = at + words;
      at += words;
      file_.ops.push(op);
      if (!arity(op)) return false;
      Accept accept;
      if (!visit_op(op, file_, status_, accept)) return false;
    }
    return true;
  }

  struct Accept {
    template <typename Fields>
    bool operator()(const OpRecord&, const Fields&) {
      return true;
    }
  };

  bool arity(const OpRecord& op) {
    switch (op.code) {
#define EDGE_OP_BEGIN(Name, text, code, since, minInputs, maxInputs)                                        \
  case code:                                                                                                \
    if (op.inputs.size < (minInputs + 0u) || op.inputs.size > (maxInputs + 0u))                             \
      return invalid("op %u (%s) has %u inputs, allowed are %u to %u", op.index, text, op.inputs.size, minInputs + 0u, maxInputs + 0u); \
    return true;
#include "native/edge_schema.inc"
      default:
        return true;  // visit_op tells
    }
  }

  bool borders() {
    const Section& section = of(SectionKind::Borders);
    const uint32_t* at = reinterpret_cast<const uint32_t*>(bytes_ + section.offset);
    const uint64_t words = section.bytes / 4;
    uint64_t used = 0;
    for (Array<Border>* list : {&file_.inputs, &file_.outputs}) {
      const char* what = list == &file_.inputs ? "input" : "output";
      if (words - used < 1) return invalid("the section 'borders' is cut off");
      const uint32_t count = at[used++];
      if (count > kMaxInputs || uint64_t{count} * 3 > words - used) return invalid("the section 'borders' declares %u %ss, which do not fit", count, what);
      for (uint32_t i = 0; i < count; ++i, used += 3) {
        Border border;
        border.tensor = at[used];
        if (border.tensor >= file_.tensors.size()) return invalid("%s %u is tensor %u, there are %zu", what, i, border.tensor, file_.tensors.size());
        if (!text(at[used + 1], at[used + 2], border.name, what, i)) return false;
        list->push(border);
      }
    }
    if (used * 4 != section.bytes) return invalid("the section 'borders' has %llu bytes, its lists take %llu", static_cast<unsigned long long>(section.bytes), static_cast<unsigned long long>(used * 4));
    if (file_.outputs.empty()) return invalid("the file has no outputs");
    return true;
  }

  // Every value has one producer, and it comes first.
  bool production() {
    Array<uint8_t> produced(file_.tensors.size(), 0);
    for (size_t i = 0; i < file_.inputs.size(); ++i) {
      const uint32_t tensor = file_.inputs[i].tensor;
      if (file_.tensors[tensor].data != nullptr) return invalid("input %zu is tensor %u, a constant", i, tensor);
      if (produced[tensor]) return invalid("tensor %u is two inputs", tensor);
      produced[tensor] = 1;
    }
    for (const OpRecord& op : file_.ops) {
      for (const uint32_t tensor : op.inputs) {
        if (tensor >= file_.tensors.size()) return invalid("op %u (%s) reads tensor %u, there are %zu", op.index, op_name(op.code), tensor, file_.tensors.size());
        if (!produced[tensor]) return invalid("op %u (%s) reads tensor %u, which nothing before it computes", op.index, op_name(op.code), tensor);
      }
      if (op.output >= file_.tensors.size()) return invalid("op %u (%s) writes tensor %u, there are %zu", op.index, op_name(op.code), op.output, file_.tensors.size());
      if (file_.tensors[op.output].data != nullptr) return invalid("op %u (%s) writes tensor %u, a constant", op.index, op_name(op.code), op.output);
      if (produced[op.output]) return invalid("op %u (%s) writes tensor %u, which has a producer already", op.index, op_name(op.code), op.output);
      produced[op.output] = 1;
    }
    for (size_t i = 0; i < file_.outputs.size(); ++i)
      if (!produced[file_.outputs[i].tensor]) return invalid("output %zu is tensor %u, which nothing computes", i, file_.outputs[i].tensor);
    return true;
  }

  bool test_vectors() {
    const Section& section = of(SectionKind::TestVectors);
    if (!section.present) return true;
    if (section.bytes < 16) return invalid("the section 'test-vectors' is cut off");
    const uint8_t* at = bytes_ + section.offset;
    uint64_t floats = 0;
    for (const Array<Border>* list : {&file_.inputs, &file_.outputs})
      for (const Border& border : *list) floats += uint64_t(file_.tensors[border.tensor].shape.elements());
    const uint32_t count = u32_at(at);
    if ((section.bytes - 16) % 4 != 0 || (floats == 0 ? count != 0 : (section.bytes - 16) / 4 / floats != count || (section.bytes - 16) / 4 % floats != 0))
      return invalid("the section 'test-vectors' has %llu bytes, which %u vectors of %llu values do not fill", static_cast<unsigned long long>(section.bytes), count, static_cast<unsigned long long>(floats));
    const float tolerance = f32_at(at + 4), relative = f32_at(at + 8), absolute = f32_at(at + 12);
    if (!(tolerance >= 0 && relative >= 0 && absolute >= 0)) return invalid("a tolerance of the test vectors is not a number from 0 on");
    file_.vectors = {count, tolerance, relative, absolute, reinterpret_cast<const float*>(at + 16)};
    return true;
  }

  const Section& of(SectionKind kind) const { return sections_[uint32_t(kind)]; }

  const uint8_t* bytes_;
  size_t size_;
  File& file_;
  Status& status_;
  Section sections_[kSectionKinds];
};

}  // namespace

const char* op_name(uint32_t code) {
  switch (code) {
#define EDGE_OP_BEGIN(Name, text, code, since, minInputs, maxInputs) \
  case code:                                                         \
    return text;
#include "native/edge_schema.inc"
    default:
      return "unknown";
  }
}

bool read_file(const void* bytes, size_t size, File& file, Status& status) {
  return Reader(static_cast<const uint8_t*>(bytes), size, file, status).read();
}

namespace detail {

bool FieldReader::word(uint32_t& out, const char* name) {
  if (at_ == op_.fields_end)
    return status_.fail(DGC_INVALID_FILE, "op %u (%s) ends before its field %s", op_.index, op_name(op_.code), name);
  out = *at_++;
  return true;
}

bool FieldReader::u32(uint32_t& out, uint32_t min, uint32_t max, uint32_t since, const char* name) {
  if (since > minor_) return true;
  if (!word(out, name)) return false;
  if (out < min || out > max)
    return status_.fail(DGC_INVALID_FILE, "%s of op %u (%s) is %u, allowed are %u to %u", name, op_.index, op_name(op_.code), out, min, max);
  return true;
}

bool FieldReader::i32(int32_t& out, int32_t min, int32_t max, uint32_t since, const char* name) {
  if (since > minor_) return true;
  uint32_t bits = 0;
  if (!word(bits, name)) return false;
  out = int32_t(bits);
  if (out < min || out > max)
    return status_.fail(DGC_INVALID_FILE, "%s of op %u (%s) is %d, allowed are %d to %d", name, op_.index, op_name(op_.code), out, min, max);
  return true;
}

bool FieldReader::f32(float& out, uint32_t since, const char* name) {
  if (since > minor_) return true;
  uint32_t bits = 0;
  if (!word(bits, name)) return false;
  memcpy(&out, &bits, 4);
  if (out != out) return status_.fail(DGC_INVALID_FILE, "%s of op %u (%s) is not a number", name, op_.index, op_name(op_.code));
  return true;
}

bool FieldReader::list(U32List& out, uint32_t min, uint32_t max, uint32_t max_length, uint32_t since, const char* name) {
  if (since > minor_) return true;
  uint32_t length = 0;
  if (!word(length, name)) return false;
  if (length > max_length || length > size_t(op_.fields_end - at_))
    return status_.fail(DGC_INVALID_FILE, "%s of op %u (%s) has %u values, more than fit", name, op_.index, op_name(op_.code), length);
  out = {at_, length};
  at_ += length;
  for (const uint32_t value : out)
    if (value < min || value > max)
      return status_.fail(DGC_INVALID_FILE, "%s of op %u (%s) holds %u, allowed are %u to %u", name, op_.index, op_name(op_.code), value, min, max);
  return true;
}

bool FieldReader::list(I32List& out, int32_t min, int32_t max, uint32_t max_length, uint32_t since, const char* name) {
  if (since > minor_) return true;
  U32List words;
  if (!list(words, 0, UINT32_MAX, max_length, since, name)) return false;
  out = {reinterpret_cast<const int32_t*>(words.data), words.size};
  for (uint32_t i = 0; i < out.size; ++i)
    if (out[i] < min || out[i] > max)
      return status_.fail(DGC_INVALID_FILE, "%s of op %u (%s) holds %d, allowed are %d to %d", name, op_.index, op_name(op_.code), out[i], min, max);
  return true;
}

bool FieldReader::constant(uint32_t& out, bool optional, uint32_t since, const char* name) {
  if (since > minor_) return true;
  if (!word(out, name)) return false;
  if (optional && out == kNoTensor) return true;
  if (out >= file_.tensors.size() || file_.tensors[out].data == nullptr)
    return status_.fail(DGC_INVALID_FILE, "%s of op %u (%s) is tensor %u, which is no constant", name, op_.index, op_name(op_.code), out);
  return true;
}

// A newer minor version may have appended fields; an older one cannot.
bool FieldReader::finish() {
  if (at_ != op_.fields_end && minor_ <= kVersionMinor)
    return status_.fail(DGC_INVALID_FILE, "op %u (%s) has %lld words too many", op_.index, op_name(op_.code), static_cast<long long>(op_.fields_end - at_));
  return true;
}

}  // namespace detail
}  // namespace dgc::edge
