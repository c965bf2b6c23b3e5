// What the stages of the matrix engine tell each other. Cycle counts that couple stages are
// constants here, with the equation that makes their sum the latency of
// accelerator/contract/src/timing.
/* verilator lint_off UNUSEDPARAM */ // a part of the engine built alone uses some of it
package fqbert_matrix_pkg;

  // From the cycle of a chunk's read to the cycle in which its product can be in P of the last
  // lane: two cycles of the memory, two operand registers, four registers of the slice (A, AD, M,
  // P), and the other lanes of the cascade.
  localparam int unsigned MEMORY_CYCLES = 2;
  localparam int unsigned OPERAND_CYCLES = 2;
  localparam int unsigned SLICE_CYCLES = 4;
  // The drain's first step selects a column in the cycle after the capture, and is in the
  // destination's write register DRAIN_CYCLES later; the write takes one more. So an instruction
  // retires L + 15 + drain cycles after its last read cycle, which with START_CYCLES is the timing
  // model's issue + L + MATRIX_PIPELINE (6) + drain + REQUANTIZE_PIPELINE (9).
  localparam int unsigned DRAIN_CYCLES = 8;

  // Terms of a part at most: sums of so many products keep the packed lanes apart
  // (docs/numerics.md, section 2).
  localparam int unsigned PART_TERMS_8X4 = 2048;
  localparam int unsigned PART_TERMS_8X8 = 1024;

  // Instructions between their start and their first drain.
  localparam int unsigned INFLIGHT = 8;

  // The sources of a chunk's operands.
  typedef struct packed {
    logic       a_probs;
    logic       b_opd;
    logic [1:0] b_slot;
    logic       mode8;
  } source_t;

  // A finished sum on its way from the last chunk's read to the drain: a tile, or a part of one.
  typedef struct packed {
    logic valid;
    logic part_first;  // first part of its tile: starts from the bias
    logic part_last;   // last part of its tile: is written
    logic cmd_first;   // first part of its instruction
    logic cmd_last;    // last part of its instruction
    logic rows_last;   // of the last row tile in its column tile
  } part_t;

  // What the drain needs to know of an instruction.
  typedef struct packed {
    logic                       mode8;
    fqbert_pkg::matmul_dest_e   dest;
    logic                       gelu;
    logic                       table_;
    logic                       uniform;
    logic [15:0]                channels;
    logic [15:0]                dst_channel;
    logic [15:0]                dst_base;
    logic [15:0]                dst_stride;
    logic [15:0]                par_base;
    logic [7:0]                 head_dim;
    logic [7:0]                 row_tile0;
  } context_t;

  // Where token 0 of an instruction lies among the keys: word of its key tile, pair in it.
  typedef struct packed {
    logic [15:0] word;
    logic [7:0]  pair;
  } key_place_t;

  // One step of the drain: two consecutive channels of R tokens, or of a group of them for OPD.
  typedef struct packed {
    logic                       valid;
    logic                       part_first;
    logic                       part_last;
    logic                       mode8;
    logic                       uniform;
    // Step of the tile: channels 2 * column and 2 * column + 1 of it.
    logic [7:0]                 column;
    logic                       write;    // last part, and a channel that exists
    fqbert_pkg::matmul_dest_e   dest;
    logic                       gelu;
    logic                       table_;
    // Word of the destination that holds channel (values: token) 0.
    logic [15:0]                word;
    logic [15:0]                word_next; // keys: the same of the next key tile
    logic [15:0]                position; // channel; values: token of the group's first row
    // Keys: pair of the group's first token; values: pair of the first channel.
    logic [7:0]                 pair;
    logic [7:0]                 group;    // which operand_tokens rows are written to OPD
    logic                       last;     // the instruction retires after it
  } step_t;

  // Tokens written to OPD in one cycle.
  function automatic int unsigned operand_tokens(
    int unsigned rows, int unsigned pairs, int unsigned lanes
  );
    int unsigned least;
    least = rows < lanes ? rows : lanes;
    return least < pairs ? least : pairs;
  endfunction

  // Cycles in which a tile leaves the shadow: drain_cycles of the timing model.
  function automatic int unsigned drain_cycles(
    int unsigned pairs, int unsigned groups, logic mode8, logic operand
  );
    return (mode8 ? pairs / 2 : pairs) * (operand ? groups : 1);
  endfunction

endpackage
/* verilator lint_on UNUSEDPARAM */
