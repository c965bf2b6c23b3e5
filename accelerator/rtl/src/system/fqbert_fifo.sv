// Queue of up to DEPTH entries in distributed RAM, with the oldest entry on its output while it is
// not empty. An entry written in one cycle is readable in the next; a full queue takes an entry in
// the cycle in which it gives one.
module fqbert_fifo #(
  parameter int unsigned WIDTH = 8,
  parameter int unsigned DEPTH = 16
) (
  input  logic                       clk_i,
  input  logic                       clear_i,

  input  logic                       push_i,
  input  logic [WIDTH-1:0]           data_i,
  output logic                       ready_o,

  input  logic                       pop_i,
  output logic                       valid_o,
  output logic [WIDTH-1:0]           data_o,

  output logic [$clog2(DEPTH+1)-1:0] count_o
);

  localparam int unsigned POINTER = DEPTH > 1 ? $clog2(DEPTH) : 1;
  localparam int unsigned COUNT = $clog2(DEPTH + 1);
  localparam logic [POINTER-1:0] LAST = POINTER'(DEPTH - 1);

  logic [WIDTH-1:0]   entries [DEPTH];
  logic [POINTER-1:0] read_q, write_q;
  logic [COUNT-1:0]   count_q;

  assign valid_o = count_q != 0;
  assign data_o  = entries[read_q];
  assign ready_o = count_q != COUNT'(DEPTH) || pop_i;
  assign count_o = count_q;

  always_ff @(posedge clk_i) begin
    if (push_i) entries[write_q] <= data_i;
    if (clear_i) begin
      read_q  <= '0;
      write_q <= '0;
      count_q <= '0;
    end else begin
      if (push_i) write_q <= write_q == LAST ? '0 : write_q + 1'b1;
      if (pop_i)  read_q  <= read_q == LAST ? '0 : read_q + 1'b1;
      count_q <= count_q + COUNT'(push_i) - COUNT'(pop_i);
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) clear_i || !push_i || ready_o);
  assert property (@(posedge clk_i) clear_i || !pop_i || valid_o);
`endif

endmodule
