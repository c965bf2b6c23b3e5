// Timer of one pass over a row tile: counts its cycles from 0 to last_i and then holds until the
// tile may leave. The next tile's count 0 is the cycle after start_i, which is allowed while
// ready_o is high.
module fqbert_pass #(
  parameter int unsigned WIDTH = 9
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             start_i,
  input  logic [WIDTH-1:0] last_i,   // cycles of the pass less one, while it is active
  input  logic             leave_i,  // its work is done and the next pass can take the tile
  output logic             ready_o,  // free in the next cycle
  output logic             active_o,
  output logic [WIDTH-1:0] count_o,
  output logic             finish_o  // the tile leaves: the last cycle of the pass
);

  logic             active_q, at_end;
  logic [WIDTH-1:0] count_q;

  assign at_end   = count_q == last_i;
  assign finish_o = active_q && at_end && leave_i;
  assign ready_o  = !active_q || finish_o;
  assign active_o = active_q;
  assign count_o  = count_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) active_q <= 1'b0;
    else if (start_i) active_q <= 1'b1;
    else if (finish_o) active_q <= 1'b0;

    if (start_i) count_q <= '0;
    else if (!at_end) count_q <= count_q + 1'b1;
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) !rst_ni || !start_i || ready_o);
`endif

endmodule
