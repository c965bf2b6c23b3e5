// The write port of OPD for results: C banks of L bytes, each with an address of its own. Keys put
// the token into the pair and the channel into the lane, values the other way round; so the
// transpose that attention wants is where a byte goes, not a pass.
module fqbert_operand_write
  import fqbert_matrix_pkg::*;
#(
  parameter int unsigned ROWS  = 4,
  parameter int unsigned PAIRS = 4,
  parameter int unsigned LANES = 8
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  input  step_t                             step_i,
  input  logic [ROWS-1:0][1:0][7:0]         results_i, // one cycle after the step
  output logic [PAIRS-1:0]                  wen_o,     // two cycles after the step
  output logic [PAIRS-1:0][15:0]            waddr_o,
  output logic [PAIRS-1:0][LANES-1:0][7:0]  wdata_o,
  output logic [PAIRS-1:0][LANES-1:0]       wbe_o
);

  localparam int unsigned TOKENS = operand_tokens(ROWS, PAIRS, LANES);
  localparam int unsigned GROUPS = ROWS / TOKENS;
  localparam int unsigned LANE_BITS = $clog2(LANES);
  localparam int unsigned TOKEN_BITS = $clog2(TOKENS);

  logic        keys, values;
  logic [15:0] chunk;
  logic [LANE_BITS-1:0] lane;
  assign keys   = step_i.write && step_i.dest == fqbert_pkg::MATMUL_DEST_KEYS;
  assign values = step_i.write && step_i.dest == fqbert_pkg::MATMUL_DEST_VALUES;
  assign chunk  = step_i.position >> LANE_BITS;
  assign lane   = step_i.position[LANE_BITS-1:0];

  logic                  keys_q;
  logic [7:0]            group_q;
  logic [LANES-1:0]      lanes_q;
  logic [15:0]           addr_q, addr_next_q;

  always_ff @(posedge clk_i) begin
    keys_q      <= keys;
    group_q     <= step_i.group;
    addr_q      <= step_i.word + chunk;
    addr_next_q <= step_i.word_next + chunk;
    for (int unsigned l = 0; l < LANES; l++) begin
      // Keys: the two channels of the step; values: the tokens of the group.
      lanes_q[l] <= keys ? LANE_BITS'(l) >> 1 == lane >> 1
                         : LANE_BITS'(l) >> TOKEN_BITS == lane >> TOKEN_BITS;
    end
  end

  // The tokens of the group.
  logic [TOKENS-1:0][1:0][7:0] tokens;
  if (GROUPS > 1) begin : gen_groups
    localparam int unsigned GROUP_BITS = $clog2(GROUPS);
    logic [GROUPS-1:0][TOKENS-1:0][1:0][7:0] grouped;
    assign grouped = results_i;
    assign tokens  = grouped[group_q[GROUP_BITS-1:0]];
    logic unused_group;
    assign unused_group = ^group_q;
  end else begin : gen_one_group
    logic unused_group;
    assign unused_group = ^group_q;
    assign tokens = results_i;
  end

  for (genvar p = 0; p < PAIRS; p++) begin : gen_pair
    // Keys: which token of the group is in this pair, in the key tile of the first one or in the
    // next.
    logic       wraps, mine;
    logic [7:0] token;
    assign wraps = 8'(p) < step_i.pair;
    assign token = 8'(p) - step_i.pair + (wraps ? 8'(PAIRS) : 8'd0);
    assign mine  = (keys && token < 8'(TOKENS)) || (values && 8'(p) >> 1 == step_i.pair >> 1);

    logic                  mine_q, wraps_q;
    logic [TOKEN_BITS-1:0] token_q;
    always_ff @(posedge clk_i) begin
      mine_q  <= mine && rst_ni;
      wraps_q <= wraps && keys;
      token_q <= token[TOKEN_BITS-1:0];
    end

    always_ff @(posedge clk_i) begin
      wen_o[p]   <= mine_q && rst_ni;
      waddr_o[p] <= wraps_q ? addr_next_q : addr_q;
      wbe_o[p]   <= lanes_q;
      for (int unsigned l = 0; l < LANES; l++) begin
        wdata_o[p][l] <= keys_q ? tokens[token_q][l%2] : tokens[l%TOKENS][p%2];
      end
    end
  end

  if (TOKENS < 2 || (TOKENS & (TOKENS - 1)) != 0) begin : gen_shape
    $error("the tokens of a write are a power of two, at least 2");
  end

  logic unused_step;
  assign unused_step = ^step_i;

endmodule
