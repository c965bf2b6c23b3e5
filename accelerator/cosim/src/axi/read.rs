//! The read channels of a port.

use std::collections::VecDeque;

use super::check::{self, Channel};
use super::shared::{BEAT, Shared, Traffic, response};
use crate::verilated::{Port, Verilated};

struct Burst {
    address: u64,
    beats: u64,
    /// Beats given.
    given: u64,
    /// First cycle in which a beat may be given.
    ready_at: u64,
}

/// One port's AR and R.
pub(crate) struct ReadPort {
    name: String,
    lane: usize,
    arvalid: Port,
    arready: Port,
    araddr: Port,
    arlen: Port,
    rvalid: Port,
    rready: Port,
    rdata: Port,
    rresp: Port,
    rlast: Port,
    bursts: VecDeque<Burst>,
    /// A beat stands until it is taken: data and response.
    offered: Option<([u8; BEAT], u64, bool)>,
    ar: Channel,
    /// Of this cycle.
    address: Option<(u64, u64)>,
    address_ready: bool,
    beat_taken: bool,
}

impl ReadPort {
    /// Port `lane` of the packed ports called `prefix`.
    pub(crate) fn new(model: &Verilated, prefix: &str, lane: usize) -> Self {
        let port = |name: &str| model.port(&format!("{prefix}_{name}"));
        Self {
            name: format!("{prefix}{lane} AR"),
            lane,
            arvalid: port("arvalid_o"),
            arready: port("arready_i"),
            araddr: port("araddr_o"),
            arlen: port("arlen_o"),
            rvalid: port("rvalid_i"),
            rready: port("rready_o"),
            rdata: port("rdata_i"),
            rresp: port("rresp_i"),
            rlast: port("rlast_i"),
            bursts: VecDeque::new(),
            offered: None,
            ar: Channel::default(),
            address: None,
            address_ready: false,
            beat_taken: false,
        }
    }

    pub(crate) fn open(&self) -> usize {
        let last = matches!(self.offered, Some((_, _, true)));
        self.bursts.len() + usize::from(last)
    }

    pub(crate) fn drive(&mut self, model: &mut Verilated, shared: &mut Shared<'_>) {
        let lane = self.lane;
        self.address = (model.lane(self.arvalid, lane, 1) == 1).then(|| {
            let address = model.lane(self.araddr, lane, 64) as u64;
            (address, model.lane(self.arlen, lane, 8) as u64 + 1)
        });
        self.address_ready = !shared.stall.now();
        model.set_lane(self.arready, lane, 1, self.address_ready.into());

        if self.offered.is_none() {
            self.offer(shared);
        }
        let valid = self.offered.is_some();
        model.set_lane(self.rvalid, lane, 1, valid.into());
        if let Some((data, response, last)) = &self.offered {
            model.set_lane(self.rdata, lane, 128, u128::from_le_bytes(*data));
            model.set_lane(self.rresp, lane, 2, u128::from(*response));
            model.set_lane(self.rlast, lane, 1, (*last).into());
        }
        self.beat_taken = valid && model.lane(self.rready, lane, 1) == 1;
    }

    fn offer(&mut self, shared: &mut Shared<'_>) {
        let Some(burst) = self.bursts.front_mut() else {
            return;
        };
        if burst.ready_at > shared.now || shared.stall.now() || !shared.bandwidth.take() {
            return;
        }
        let address = burst.address + burst.given * BEAT as u64;
        let mut data = [0xee; BEAT];
        let fault = shared.ddr.read(address, &mut data).err();
        burst.given += 1;
        let last = burst.given == burst.beats;
        self.offered = Some((data, response(fault), last));
        if last {
            // The next burst's first beat follows at once if its own latency is over.
            self.bursts.pop_front();
        }
    }

    pub(crate) fn commit(
        &mut self,
        shared: &mut Shared<'_>,
        traffic: &mut Traffic,
        found: &mut Vec<String>,
    ) {
        self.ar
            .address_cycle(&self.name, self.address, self.address_ready, found);
        if let Some((address, beats)) = self.address.filter(|_| self.address_ready) {
            check::burst(&self.name, address, beats, found);
            traffic.start = traffic.start.min(address);
            traffic.end = traffic.end.max(address.saturating_add(beats * BEAT as u64));
            let ready_at = shared.now + shared.memory.first_beat() + shared.stall.jitter();
            self.bursts.push_back(Burst {
                address,
                beats,
                given: 0,
                ready_at,
            });
            self.address = None;
        }
        if self.beat_taken {
            self.offered = None;
            traffic.beats_read += 1;
        }
    }
}
