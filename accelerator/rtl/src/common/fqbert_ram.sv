// Simple dual-port memory: one write port with byte enables, one read port. Data is valid two
// cycles after the cycle of ren_i (block RAM and its output register); reading a word in the cycle
// in which it is written gives the old word.
module fqbert_ram #(
  parameter int unsigned BYTES = 16,
  parameter int unsigned DEPTH = 512
) (
  input  logic                clk_i,

  input  logic                ren_i,
  input  logic [15:0]         raddr_i,
  output logic [BYTES*8-1:0]  rdata_o,

  input  logic                wen_i,
  input  logic [15:0]         waddr_i,
  input  logic [BYTES*8-1:0]  wdata_i,
  input  logic [BYTES-1:0]    wbe_i
);

  localparam int unsigned ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1;

  logic [BYTES*8-1:0] memory [DEPTH];
  logic [BYTES*8-1:0] read_q;
  logic               ren_q;

  // Ports are as wide as the contract's addresses; fields are checked before they reach an engine.
  logic unused_address;
  assign unused_address = ^{raddr_i, waddr_i};

  always_ff @(posedge clk_i) begin
    if (wen_i) begin
      for (int unsigned i = 0; i < BYTES; i++) begin
        if (wbe_i[i]) memory[waddr_i[ADDRESS-1:0]][i*8+:8] <= wdata_i[i*8+:8];
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (ren_i) read_q <= memory[raddr_i[ADDRESS-1:0]];
    ren_q <= ren_i;
    if (ren_q) rdata_o <= read_q;
  end

endmodule
