// Splits a transfer into AXI4 bursts of at most MAX_BEATS that never cross a multiple of their
// largest size, so none crosses 4 KiB. The whole transfer is checked against the window before its
// first burst, and every burst again before its address is issued.
module fqbert_burst #(
  parameter int unsigned MAX_BEATS = 256
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  // Low: no burst begins any more; a valid address stays until it is taken.
  input  logic                        run_i,
  input  fqbert_system_pkg::window_t  window_i,

  input  logic                        start_i,
  output logic                        ready_o,
  input  logic [63:0]                 address_i,
  input  logic [23:0]                 beats_i,

  // Whether the other side has room for another burst.
  input  logic                        room_i,
  output logic                        ax_valid_o,
  input  logic                        ax_ready_i,
  output fqbert_axi_pkg::axi_ax_t     ax_o,
  // Whether the burst whose address is valid is its transfer's last.
  output logic                        ax_last_o,

  // The transfer was refused; nothing more begins until run_i falls.
  output logic                        refused_o
);

  localparam int unsigned BEAT = $clog2(fqbert_pkg::BEAT_BYTES);
  localparam int unsigned SPAN = $clog2(MAX_BEATS);

  logic        active_q, holds_q, refused_q;
  logic [63:0] address_q;
  logic [23:0] left_q;

  // A transfer of up to 2^28 bytes; the 65th bit catches the end of the address space.
  logic [64:0] end_of_transfer;
  logic        holds;
  assign end_of_transfer = {1'b0, address_i} + 65'({beats_i, BEAT'(0)});
  assign holds = address_i[BEAT-1:0] == '0 && address_i >= window_i.base
              && end_of_transfer <= {1'b0, window_i.limit};

  // This burst: up to the next boundary, or what is left.
  logic [SPAN:0] to_boundary, beats;
  logic          finishing;
  assign to_boundary = (SPAN+1)'(MAX_BEATS) - (SPAN+1)'(address_q[BEAT+:SPAN]);
  assign finishing   = left_q <= 24'(to_boundary);
  assign beats       = finishing ? (SPAN+1)'(left_q) : to_boundary;

  logic [64:0] end_of_burst;
  logic        allowed;
  assign end_of_burst = {1'b0, address_q} + 65'({beats, BEAT'(0)});
  assign allowed = holds_q && address_q >= window_i.base && end_of_burst <= {1'b0, window_i.limit};

  logic slot_free, issue, refuse;
  assign slot_free = !ax_valid_o || ax_ready_i;
  assign issue  = active_q && run_i && room_i && slot_free && allowed;
  assign refuse = active_q && run_i && !allowed && !refused_q;

  assign ready_o   = !refused_q && (!active_q || (issue && finishing));
  assign refused_o = refuse;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      active_q   <= 1'b0;
      refused_q  <= 1'b0;
      ax_valid_o <= 1'b0;
    end else begin
      if (!run_i) active_q <= 1'b0;
      else if (start_i) active_q <= 1'b1;
      else if (issue && finishing) active_q <= 1'b0;

      if (!run_i) refused_q <= 1'b0;
      else if (refuse) refused_q <= 1'b1;

      if (issue) ax_valid_o <= 1'b1;
      else if (ax_ready_i) ax_valid_o <= 1'b0;
    end
    if (start_i) begin
      address_q <= address_i;
      left_q    <= beats_i;
      holds_q   <= holds;
    end else if (issue) begin
      address_q <= end_of_burst[63:0];
      left_q    <= left_q - 24'(beats);
    end
    if (issue) begin
      ax_o      <= '{addr: address_q, len: 8'(beats - 1'b1)};
      ax_last_o <= finishing;
    end
  end

endmodule
