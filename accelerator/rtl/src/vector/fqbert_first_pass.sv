// The beginning of a core: goes through an instruction's row tiles and times the first pass over
// each. A tile's pass begins two cycles after the start of its instruction, or in the cycle after
// the tile before it has left.
module fqbert_first_pass #(
  parameter int unsigned WIDTH = 9
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             start_i,
  input  logic [7:0]       row_tiles_i, // with start_i
  output logic             ready_o,     // start_i is allowed

  input  logic [WIDTH-1:0] last_i,      // cycles of the pass less one, while it is active
  input  logic             leave_i,     // its work is done and the next pass can take the tile
  output logic             pending_o,   // the cycle after start_i
  output logic             half_o,      // of the line buffers, for this tile
  output logic             final_tile_o,
  output logic             active_o,
  output logic [WIDTH-1:0] count_o,
  output logic             finish_o     // the tile leaves: the last cycle of the pass
);

  logic [7:0] tiles_q; // to go, this one included
  logic       start, pass_ready;

  assign ready_o      = !pending_o && !active_o;
  assign final_tile_o = tiles_q == 8'd1;
  assign start        = pending_o || (finish_o && !final_tile_o);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) pending_o <= 1'b0;
    else pending_o <= start_i;

    if (!rst_ni) half_o <= 1'b0;
    else if (finish_o) half_o <= !half_o;

    if (start_i) tiles_q <= row_tiles_i;
    else if (finish_o) tiles_q <= tiles_q - 8'd1;
  end

  fqbert_pass #(.WIDTH(WIDTH)) u_pass (
    .clk_i, .rst_ni, .start_i(start), .last_i, .leave_i,
    .ready_o(pass_ready), .active_o, .count_o, .finish_o
  );
  logic unused_ready; // the pass is free whenever it is started
  assign unused_ready = pass_ready;

endmodule
