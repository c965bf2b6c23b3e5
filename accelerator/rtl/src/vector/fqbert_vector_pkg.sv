// Constants of the VECTOR engine: lengths of its pipelines, which the cycle formulas of
// accelerator/contract/src/timing contain.
package fqbert_vector_pkg;

  // From the cycle of a memory's ren to that of its data.
  localparam int unsigned MEMORY_CYCLES = 2;
  // Cycles a pass over a row tile of softmax takes beside its column pairs (SOFTMAX_OVERHEAD).
  localparam int unsigned SOFTMAX_OVERHEAD = 26;
  // Cycles a pass over a row tile of layer norm takes beside its channels and rows
  // (LAYER_NORM_OVERHEAD).
  localparam int unsigned LAYER_NORM_OVERHEAD = 24;
  // Scores in a word of EXP.
  localparam int unsigned EXP_ENTRIES = 8;

  // The columns that a row's softmax covers; beyond the longest sequence all bounds are alike.
  typedef struct packed {
    logic [9:0] hi;
    logic [9:0] lo;
  } range_t;

  // The part of a layer norm's header that the statistics take.
  typedef struct packed {
    logic [20:0] inv;
    logic [31:0] eps;
    logic [5:0]  q;
  } mean_t;

  // The part that the outputs take.
  typedef struct packed {
    logic [15:0] m16;
    logic [15:0] m8;
    logic [5:0]  s16;
    logic [5:0]  s8;
  } scales_t;

  // What the channels of a row share.
  typedef struct packed {
    logic signed [19:0] mu;    // the mean times 16
    logic        [15:0] rho;   // reciprocal deviation
    logic        [4:0]  shift; // of (16 * x - mu) * rho
  } row_t;

  // Shifts outside 1..40 as docs/numerics.md (section 3) takes them.
  function automatic logic [5:0] effective_shift(logic [5:0] stored);
    if (stored == 6'd0) return 6'd1;
    if (stored > 6'd40) return 6'd40;
    return stored;
  endfunction

  // What rounds a shift half up.
  function automatic logic [47:0] half_of(logic [5:0] shift);
    return 48'd1 << (shift - 6'd1);
  endfunction

endpackage
