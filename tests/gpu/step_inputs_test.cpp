#include "gpu/step_inputs.hpp"

#include <doctest/doctest.h>

#include <cstring>

using namespace llmos;

namespace {

template <class T>
T read(const std::vector<std::byte>& from, size_t at, size_t index = 0) {
  T out;
  std::memcpy(&out, from.data() + at + index * sizeof(T), sizeof out);
  return out;
}

}  // namespace

TEST_SUITE("gpu.step_inputs") {
  TEST_CASE("a step's inputs stand where the layout says") {
    const backend_limits limits{.max_rows = 64,
                                .max_logits = 8,
                                .max_seqs = 4,
                                .max_context = 256,
                                .num_blocks = 32,
                                .block_tokens = 16};
    hyperparameters hp;
    hp.n_heads = 9;
    hp.n_kv_heads = 3;
    gpu::step_inputs inputs(limits, hp, 132);
    const gpu::step_layout& layout = inputs.layout();
    CHECK(layout.queries_per_tile == 5);
    const std::vector<token_id> tokens{10, 11, 12, 13, 14, 15, 16, 20};
    const std::vector<block_id> first{7, 3}, second{1, 2, 9};
    const std::vector<sequence_rows> seqs{{0, 7, 14, first}, {7, 1, 40, second}};
    const std::vector<uint32_t> logit_rows{6, 7};
    std::vector<std::byte> to(layout.size, std::byte{0xff});
    const auto done = inputs.write({tokens, seqs, logit_rows}, {}, to.data());
    CHECK(done.n_bytes == layout.tables + 6 * sizeof(uint32_t));
    CHECK_FALSE(done.repeats);  // a sequence has more queries than a tile
    CHECK(done.shape == gpu::step_shape{8, 2, 1, 2, 1, false, false});
    const auto header = read<gpu::step_header>(to, layout.header);
    CHECK(header.n_few_tiles == 1);
    CHECK(header.n_many_tiles == 2);
    CHECK(header.table_stride == 3);
    CHECK(read<token_id>(to, layout.tokens, 7) == 20);
    CHECK(read<uint32_t>(to, layout.positions, 6) == 20);
    CHECK(read<uint32_t>(to, layout.positions, 7) == 40);
    CHECK(read<uint32_t>(to, layout.blocks, 1) == 7);  // position 15
    CHECK(read<uint32_t>(to, layout.blocks, 2) == 3);  // position 16
    CHECK(read<uint32_t>(to, layout.blocks, 7) == 9);
    CHECK(read<uint32_t>(to, layout.logit_rows, 1) == 7);
    const auto few = read<gpu::attention_tile>(to, layout.few_tiles);
    CHECK(few.first_row == 7);
    CHECK(few.first_position == 40);
    CHECK(few.sequence == 1);
    const auto many = read<gpu::attention_tile>(to, layout.many_tiles, 1);
    CHECK(many.first_row == 5);
    CHECK(many.n_queries == 2);
    CHECK(many.first_position == 19);
    CHECK(read<uint32_t>(to, layout.tables, 0) == 7);
    CHECK(read<uint32_t>(to, layout.tables, 5) == 9);
  }

  TEST_CASE("a step without long prompts is padded to a shape that comes again") {
    const backend_limits limits{.max_rows = 64,
                                .max_logits = 6,
                                .max_seqs = 20,
                                .max_context = 8192,
                                .num_blocks = 512,
                                .block_tokens = 16};
    hyperparameters hp;
    hp.n_heads = 4;
    hp.n_kv_heads = 2;
    gpu::step_inputs inputs(limits, hp, 132);
    const gpu::step_layout& layout = inputs.layout();
    const std::vector<block_id> blocks(512, 5);
    std::vector<sequence_rows> seqs;
    for (uint32_t i = 0; i < 5; ++i) seqs.push_back({i, 1, 4000, blocks});
    const std::vector<token_id> tokens{1, 2, 3, 4, 5};
    const std::vector<uint32_t> logit_rows{0, 4};
    const std::vector<token_choice> choices{{.temperature = 1}, {.temperature = 2}};
    std::vector<std::byte> to(layout.size, std::byte{0xff});
    const auto done = inputs.write({tokens, seqs, logit_rows}, {choices, {}}, to.data());
    CHECK(done.repeats);
    CHECK(done.shape == gpu::step_shape{8, 6, 8, 0, 8, true, false});
    CHECK(done.n_adjustment_bytes == 0);
    CHECK(read<gpu::step_header>(to, layout.header).n_few_tiles == 5);
    CHECK(read<token_id>(to, layout.tokens, 7) == 0);
    CHECK(read<uint32_t>(to, layout.positions, 4) == 4000);
    CHECK(read<uint32_t>(to, layout.positions, 5) == 0);
    CHECK(read<uint32_t>(to, layout.blocks, 4) == 5);
    CHECK(read<uint32_t>(to, layout.blocks, 5) == 512);
    CHECK(read<uint32_t>(to, layout.logit_rows, 5) == 0);
    CHECK(read<token_choice>(to, layout.choices, 1).temperature == 2);
    CHECK(read<token_choice>(to, layout.choices, 5).temperature == 0);
    // What is adjusted is a shape of its own.
    const std::vector<token_adjustment> adjustments{{3, 1, 0}, {4, 0, 2}};
    const std::vector<token_choice> adjusted{{}, {.num_adjustments = 2}};
    const auto more = inputs.write({tokens, seqs, logit_rows}, {adjusted, adjustments}, to.data());
    CHECK(more.shape == gpu::step_shape{8, 6, 8, 0, 8, true, true});
    CHECK(more.n_bytes == done.n_bytes);
    CHECK(more.n_adjustment_bytes == sizeof adjustments[0] * 2);
    CHECK(read<token_adjustment>(to, layout.adjustments, 1) == adjustments[1]);
    const std::vector<token_choice> pending{{.pending = -1}, {}};
    CHECK(inputs.write({tokens, seqs, logit_rows}, {pending, {}}, to.data()).shape.adjusts);
    // Sizes are few and never too small.
    for (uint32_t n = 1; n <= gpu::max_graph_rows; ++n) CHECK(gpu::padded_rows(n) >= n);
    CHECK(gpu::padded_rows(3) == 4);
    CHECK(gpu::padded_rows(17) == 32);
    CHECK(gpu::padded_rows(33) == 48);
  }

  TEST_CASE("keys are split until the device is busy, never into less than four chunks a warp") {
    CHECK(gpu::splits_for(1, 8, 100, 132) == 1);
    CHECK(gpu::splits_for(1, 8, 4096, 132) == 16);
    CHECK(gpu::splits_for(1, 8, 100000, 132) == 66);
    CHECK(gpu::splits_for(16, 8, 100000, 132) == 4);
    CHECK(gpu::splits_for(256, 8, 100000, 132) == 1);
    CHECK(gpu::splits_for(0, 8, 100000, 132) >= 1);
    for (uint32_t tiles = 1; tiles < 300; ++tiles) {
      for (const uint32_t heads : {1u, 3u, 8u}) {
        const size_t partials =
            size_t{tiles} * heads * gpu::splits_for(tiles, heads, 1u << 20, 132);
        CHECK(partials <= gpu::most_partials(300, heads, 132));
      }
    }
  }
}
