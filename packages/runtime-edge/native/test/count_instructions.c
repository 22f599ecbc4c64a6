/* A qemu-user plugin that prints how many guest instructions ran, and with the argument blocks=on also, for every block of code
 * that ran, its address, length and number of executions. The few declarations that it needs are repeated here, since Debian's
 * qemu-user ships no header. Build: cc -shared -fPIC count_instructions.c -o count_instructions.so */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*callback)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int op, void *counter, uint64_t amount);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t id, void *data), void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);

int qemu_plugin_version = 1;

struct block {
  uint64_t address, length, executions;
  struct block *next;
};

static struct block *blocks;
static int print_blocks;

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  struct block *block = calloc(1, sizeof(*block));
  if (!block) abort();
  block->address = qemu_plugin_tb_vaddr(tb);
  block->length = qemu_plugin_tb_n_insns(tb);
  block->next = blocks;
  blocks = block;
  qemu_plugin_register_vcpu_tb_exec_inline(tb, 0, &block->executions, 1);
}

static void finished(qemu_plugin_id_t id, void *data) {
  (void)id;
  (void)data;
  uint64_t instructions = 0;
  for (const struct block *block = blocks; block; block = block->next) {
    instructions += block->length * block->executions;
    if (!print_blocks || block->executions == 0) continue;
    fprintf(stderr, "block %" PRIx64 " %" PRIu64 " %" PRIu64 "\n", block->address, block->length, block->executions);
  }
  fprintf(stderr, "instructions %" PRIu64 "\n", instructions);
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++) print_blocks |= strcmp(argv[i], "blocks=on") == 0;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, finished, NULL);
  return 0;
}
