//! A verilated accelerator with its memory: clock, reset, register accesses, interrupt.

use std::path::Path;

use fqbert_contract::Geometry;
use fqbert_simulated::Ddr;

use crate::axi::{Bus, Memory};
use crate::model::{Model, Port, Unavailable};

/// What else is connected to a model beside memory and registers, such as engines that a test
/// plays.
pub trait Companion: Send {
    /// Sets inputs of a cycle.
    fn drive(&mut self, model: &mut Model);
    /// Looks at the outputs that belong to them, before the clock edge.
    fn sample(&mut self, model: &Model);
}

/// Makes a companion for a model, once that is there.
pub(crate) type MakeCompanion<'a> = Box<dyn FnOnce(&Model) -> Box<dyn Companion> + 'a>;

/// A register access that the accelerator did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the register block did not answer within {cycles} cycles")]
pub struct NoAnswer {
    /// Clock cycles waited for.
    pub cycles: u32,
}

/// Cycles a register access may take; it takes about four.
const ANSWER_CYCLES: u32 = 1000;
/// Cycles that the reset pin is held for.
const RESET_CYCLES: u32 = 4;

struct Lite {
    awvalid: Port,
    awready: Port,
    awaddr: Port,
    wvalid: Port,
    wready: Port,
    wdata: Port,
    bvalid: Port,
    arvalid: Port,
    arready: Port,
    araddr: Port,
    rvalid: Port,
    rdata: Port,
}

/// A model of the whole accelerator (or its shell) with its ports connected.
pub struct System {
    model: Model,
    bus: Bus,
    lite: Lite,
    clock: Port,
    irq: Port,
    companion: Option<Box<dyn Companion>>,
    line: bool,
    interrupts: u32,
}

impl System {
    /// Connects the top `name` of a device of geometry `g` and resets it. Its registers without
    /// reset start at values drawn from `power_on`.
    ///
    /// # Errors
    /// If the crate was built without it.
    pub(crate) fn open(
        name: &str,
        g: &Geometry,
        memory: Memory,
        power_on: u32,
        companion: Option<MakeCompanion<'_>>,
        ddr: &mut dyn Ddr,
    ) -> Result<Self, Unavailable> {
        let mut model = Model::open(name, power_on)?;
        model.clear_inputs();
        let port = |name: &str| model.port(name);
        let lite = Lite {
            awvalid: port("axil_awvalid_i"),
            awready: port("axil_awready_o"),
            awaddr: port("axil_awaddr_i"),
            wvalid: port("axil_wvalid_i"),
            wready: port("axil_wready_o"),
            wdata: port("axil_wdata_i"),
            bvalid: port("axil_bvalid_o"),
            arvalid: port("axil_arvalid_i"),
            arready: port("axil_arready_o"),
            araddr: port("axil_araddr_i"),
            rvalid: port("axil_rvalid_o"),
            rdata: port("axil_rdata_o"),
        };
        let (reset, strobes) = (port("rst_ni"), port("axil_wstrb_i"));
        let ready = [port("axil_bready_i"), port("axil_rready_i")];
        let (clock, irq) = (port("clk_i"), port("irq_o"));
        let bus = Bus::new(&model, g.ports as usize, memory);
        for port in ready {
            model.set(port, 1);
        }
        model.set(strobes, 0xf);
        model.set(reset, 0);
        model.assertions(false);
        for _ in 0..RESET_CYCLES {
            model.settle_low(clock);
            model.edge(clock);
        }
        model.assertions(true);
        model.set(reset, 1);
        let companion = companion.map(|make| make(&model));
        let mut system = Self {
            model,
            bus,
            lite,
            clock,
            irq,
            companion,
            line: false,
            interrupts: 0,
        };
        system.cycle(ddr);
        Ok(system)
    }

    /// The AXI4 side.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// How often the interrupt line has risen.
    pub fn interrupts(&self) -> u32 {
        self.interrupts
    }

    /// Writes waveforms to a file from now on; false if it cannot be written.
    pub(crate) fn trace(&mut self, path: &Path) -> bool {
        self.model.trace(path)
    }

    /// Clock cycles since the model was made.
    pub fn cycles(&self) -> u64 {
        self.model.cycles()
    }

    /// One clock cycle.
    pub fn cycle(&mut self, ddr: &mut dyn Ddr) {
        if let Some(companion) = &mut self.companion {
            companion.drive(&mut self.model);
            // What the accelerator says to the bus may depend on it in the same cycle.
            self.model.settle_low(self.clock);
        }
        self.bus.drive(&mut self.model, ddr);
        self.model.settle_low(self.clock);
        if let Some(companion) = &mut self.companion {
            companion.sample(&self.model);
        }
        self.model.edge(self.clock);
        self.bus.commit(ddr);
        let line = self.model.is_high(self.irq);
        if line && !self.line {
            self.interrupts = self.interrupts.wrapping_add(1);
        }
        self.line = line;
    }

    /// Reads the register at a byte offset.
    ///
    /// # Errors
    /// If the block does not answer.
    pub fn read32(&mut self, offset: u32, ddr: &mut dyn Ddr) -> Result<u32, NoAnswer> {
        self.model.set(self.lite.araddr, u64::from(offset));
        self.model.set(self.lite.arvalid, 1);
        for _ in 0..ANSWER_CYCLES {
            let taken = self.model.is_high(self.lite.arready);
            // Data is taken in the cycle in which it is valid: the block sees ready all the time.
            let answer = self
                .model
                .is_high(self.lite.rvalid)
                .then(|| self.model.get(self.lite.rdata) as u32);
            self.cycle(ddr);
            if taken {
                self.model.set(self.lite.arvalid, 0);
            }
            if let Some(value) = answer {
                return Ok(value);
            }
        }
        Err(NoAnswer {
            cycles: ANSWER_CYCLES,
        })
    }

    /// Writes the register at a byte offset.
    ///
    /// # Errors
    /// If the block does not answer.
    pub fn write32(&mut self, offset: u32, value: u32, ddr: &mut dyn Ddr) -> Result<(), NoAnswer> {
        self.model.set(self.lite.awaddr, u64::from(offset));
        self.model.set(self.lite.wdata, u64::from(value));
        self.model.set(self.lite.awvalid, 1);
        self.model.set(self.lite.wvalid, 1);
        for _ in 0..ANSWER_CYCLES {
            let address = self.model.is_high(self.lite.awready);
            let data = self.model.is_high(self.lite.wready);
            let answer = self.model.is_high(self.lite.bvalid);
            self.cycle(ddr);
            if address {
                self.model.set(self.lite.awvalid, 0);
            }
            if data {
                self.model.set(self.lite.wvalid, 0);
            }
            if answer {
                return Ok(());
            }
        }
        Err(NoAnswer {
            cycles: ANSWER_CYCLES,
        })
    }
}
