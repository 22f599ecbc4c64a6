// A growing array without exceptions or libstdc++'s runtime, for plain data. Sizes follow the size of a checked file; what a
// file can only *declare* to be large (arena, packed weights) is allocated through AlignedBuffer, which can fail.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <type_traits>

namespace dgc::edge {

template <typename T>
class Array {
  static_assert(std::is_trivially_copyable_v<T>, "Array holds plain data");

 public:
  Array() = default;
  explicit Array(size_t size, T value = T()) { resize(size, value); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  Array(Array&& other) noexcept : data_(other.data_), size_(other.size_), capacity_(other.capacity_) {
    other.data_ = nullptr;
    other.size_ = other.capacity_ = 0;
  }
  Array& operator=(Array&& other) noexcept {
    if (this != &other) {
      free(data_);
      data_ = other.data_;
      size_ = other.size_;
      capacity_ = other.capacity_;
      other.data_ = nullptr;
      other.size_ = other.capacity_ = 0;
    }
    return *this;
  }
  ~Array() { free(data_); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](size_t index) { return data_[index]; }
  const T& operator[](size_t index) const { return data_[index]; }
  T& back() { return data_[size_ - 1]; }

  void reserve(size_t capacity) {
    if (capacity <= capacity_) return;
    void* grown = realloc(static_cast<void*>(data_), capacity * sizeof(T));
    if (grown == nullptr) abort();
    data_ = static_cast<T*>(grown);
    capacity_ = capacity;
  }
  T& push(const T& value) {
    const T copy = value;
    if (size_ == capacity_) reserve(capacity_ == 0 ? 8 : capacity_ * 2);
    data_[size_] = copy;
    return data_[size_++];
  }
  void resize(size_t size, T value = T()) {
    reserve(size);
    for (size_t i = size_; i < size; ++i) data_[i] = value;
    size_ = size;
  }
  void erase(size_t index) {
    memmove(static_cast<void*>(data_ + index), data_ + index + 1, (size_ - index - 1) * sizeof(T));
    --size_;
  }
  void insert(size_t index, const T& value) {
    push(value);
    memmove(static_cast<void*>(data_ + index + 1), data_ + index, (size_ - 1 - index) * sizeof(T));
    data_[index] = value;
  }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

// Memory aligned for kernels; `allocate` says whether it could be had.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  ~AlignedBuffer() { free(data_); }

  bool allocate(uint64_t bytes) {
    free(data_);
    data_ = allocate_aligned(bytes);
    return data_ != nullptr;
  }
  void* data() const { return data_; }

  // Never null for sizes that can be had, also for 0; to be released with free(). Sizes come in 64 bits: what a machine of 32
  // cannot hold is refused here.
  static void* allocate_aligned(uint64_t bytes) {
    constexpr size_t kAlignment = 64;
    if (bytes > SIZE_MAX / 2) return nullptr;
    const size_t rounded = (size_t(bytes) + kAlignment - 1) / kAlignment * kAlignment;
    return aligned_alloc(kAlignment, rounded == 0 ? kAlignment : rounded);
  }

 private:
  void* data_ = nullptr;
};

}  // namespace dgc::edge
