// Writes on their way to a memory that a writer before this one may hold up: a queue in distributed
// RAM and an output register. The sender counts its writes, so that there are never more than
// DEPTH; written_o says that one is done.
module fqbert_write_queue #(
  parameter int unsigned WIDTH = 8,
  parameter int unsigned DEPTH = 16
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             push_i,
  input  logic [15:0]      addr_i,
  input  logic [WIDTH-1:0] data_i,

  output logic             wen_o,
  input  logic             wready_i,
  output logic [15:0]      waddr_o,
  output logic [WIDTH-1:0] wdata_o,
  output logic             written_o
);

  localparam int unsigned POINTER = $clog2(DEPTH);
  if (DEPTH != 2 ** POINTER) begin : gen_depth
    $error("DEPTH is a power of two");
  end

  (* ram_style = "distributed" *) logic [WIDTH+15:0] entries [DEPTH];
  logic [POINTER:0] write_q, read_q; // with a bit more, which tells full from empty
  logic             filled, pop;

  assign filled    = write_q != read_q;
  assign pop       = filled && (!wen_o || wready_i);
  assign written_o = wen_o && wready_i;

  always_ff @(posedge clk_i) begin
    if (push_i) entries[write_q[POINTER-1:0]] <= {addr_i, data_i};
    if (pop) {waddr_o, wdata_o} <= entries[read_q[POINTER-1:0]];
    if (!rst_ni) begin
      write_q <= '0;
      read_q  <= '0;
      wen_o   <= 1'b0;
    end else begin
      if (push_i) write_q <= write_q + 1'b1;
      if (pop) read_q <= read_q + 1'b1;
      wen_o <= pop || (wen_o && !wready_i);
    end
  end

`ifndef SYNTHESIS
  logic [POINTER:0] used;
  assign used = write_q - read_q;
  assert property (@(posedge clk_i) !rst_ni || !push_i || 32'(used) < DEPTH);
`endif

endmodule
