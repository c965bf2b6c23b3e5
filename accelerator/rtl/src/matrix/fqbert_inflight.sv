// The instructions whose operands are on their way through the array, in order: what the drain
// needs of each, with the place of its first key. The first part of an instruction arrives no
// sooner than the place is known.
module fqbert_inflight
  import fqbert_matrix_pkg::*;
#(
  parameter int unsigned ROWS  = 4,
  parameter int unsigned PAIRS = 4,
  parameter int unsigned LANES = 8
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       push_i,
  input  context_t   context_i,
  input  logic       pop_i,
  output context_t   context_o,
  output key_place_t key_o
);

  localparam int unsigned INDEX = $clog2(INFLIGHT);
  localparam int unsigned PLACE_CYCLES = 3;

  context_t         contexts [INFLIGHT];
  key_place_t       keys [INFLIGHT];
  key_place_t       place;
  logic [INDEX-1:0] write_q, read_q, place_index;
  logic             place_valid;

  fqbert_key_origin #(.ROWS(ROWS), .PAIRS(PAIRS)) u_origin (
    .clk_i,
    .row_tile0_i (context_i.row_tile0),
    .dst_base_i  (context_i.dst_base),
    .dst_stride_i(context_i.dst_stride),
    .place_o     (place)
  );
  fqbert_marker_delay #(.WIDTH(1), .CYCLES(PLACE_CYCLES)) u_valid (
    .clk_i, .rst_ni, .marker_i(push_i), .marker_o(place_valid)
  );
  fqbert_delay #(.WIDTH(INDEX), .CYCLES(PLACE_CYCLES)) u_index (
    .clk_i, .data_i(write_q), .data_o(place_index)
  );

  always_ff @(posedge clk_i) begin
    if (push_i) contexts[write_q] <= context_i;
    if (place_valid) keys[place_index] <= place;
    if (!rst_ni) begin
      write_q <= '0;
      read_q  <= '0;
    end else begin
      if (push_i) write_q <= write_q + 1'b1;
      if (pop_i) read_q <= read_q + 1'b1;
    end
  end

  assign context_o = contexts[read_q];
  assign key_o     = keys[read_q];

  // An instruction takes two cycles and a slot; its chunks are under way for L + 6 more.
  localparam int unsigned SUMMING = LANES + MEMORY_CYCLES + OPERAND_CYCLES + SLICE_CYCLES;
  if (SUMMING / (2 + PAIRS / 2) + 2 > INFLIGHT) begin : gen_short
    $error("more instructions than fit can be under way");
  end
  if (LANES + 5 < PLACE_CYCLES + 1) begin : gen_late
    $error("the place of the first key comes too late");
  end

`ifndef SYNTHESIS
  logic [INDEX:0] count_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      count_q <= '0;
    end else begin
      count_q <= count_q + (INDEX + 1)'(push_i) - (INDEX + 1)'(pop_i);
      assert (!(push_i && !pop_i && count_q == (INDEX + 1)'(INFLIGHT))) else $fatal(1, "overflow");
      assert (!(pop_i && count_q == '0)) else $fatal(1, "underflow");
    end
  end
`endif

endmodule
