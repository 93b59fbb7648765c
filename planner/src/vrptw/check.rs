//! Says of routes whether they are as the instance demands, and how long they are. Reads the instance's text anew,
//! computes in exact distances, and shares no code with the search, so that a fault there is not repeated here.

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The sum of all distances, in the instance's unit.
    pub distance: f64,
    /// How many vehicles leave the depot.
    pub vehicles: usize,
    /// Everything that is not as demanded; routes are numbered from 0.
    pub faults: Vec<Fault>,
}

/// One thing that is not as demanded.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The instance's text could not be read.
    Unreadable,
    /// There is no such customer.
    Unknown { route: usize, customer: u32 },
    /// A customer is not visited exactly once.
    Visits { customer: usize, times: usize },
    /// A vehicle carries more than it holds.
    Overloaded { route: usize, load: f64 },
    /// A vehicle comes by this much too late, to a customer or, as customer 0, back to the depot.
    Late { route: usize, customer: u32, by: f64 },
    /// More vehicles than there are.
    Vehicles { used: usize, there: usize },
}

struct Node {
    x: f64,
    y: f64,
    demand: f64,
    ready: f64,
    due: f64,
    service: f64,
}

/// Rounding of sums of doubles, far below anything that an instance distinguishes.
const TOLERANCE: f64 = 1e-6;

/// Checks routes, each the customers in the order of their visits, against the text of an instance.
#[must_use]
pub fn check(instance: &str, routes: &[Vec<u32>]) -> Verdict {
    let mut verdict = Verdict { distance: 0.0, vehicles: 0, faults: Vec::new() };
    let Some((there, capacity, nodes)) = parse(instance) else {
        verdict.faults.push(Fault::Unreadable);
        return verdict;
    };
    let mut visits = vec![0usize; nodes.len()];
    for (number, route) in routes.iter().enumerate().filter(|(_, route)| !route.is_empty()) {
        verdict.vehicles += 1;
        drive(number, route, &nodes, capacity, &mut visits, &mut verdict);
    }
    for (customer, &times) in visits.iter().enumerate().skip(1) {
        if times != 1 {
            verdict.faults.push(Fault::Visits { customer, times });
        }
    }
    if verdict.vehicles > there {
        verdict.faults.push(Fault::Vehicles { used: verdict.vehicles, there });
    }
    verdict
}

/// Drives one route from the depot and back.
fn drive(
    number: usize,
    route: &[u32],
    nodes: &[Node],
    capacity: f64,
    visits: &mut [usize],
    verdict: &mut Verdict,
) {
    let Some(depot) = nodes.first() else { return };
    let (mut here, mut clock, mut load) = (depot, depot.ready, 0.0);
    for &customer in route.iter().chain(&[0]) {
        let Some(next) = nodes.get(customer as usize) else {
            verdict.faults.push(Fault::Unknown { route: number, customer });
            continue;
        };
        let way = (here.x - next.x).hypot(here.y - next.y);
        verdict.distance += way;
        clock = f64::max(clock + here.service + way, next.ready);
        if clock > next.due + TOLERANCE {
            verdict.faults.push(Fault::Late { route: number, customer, by: clock - next.due });
        }
        load += next.demand;
        if let Some(times) = visits.get_mut(customer as usize) {
            *times += 1;
        }
        here = next;
    }
    if load > capacity {
        verdict.faults.push(Fault::Overloaded { route: number, load });
    }
}

/// Vehicles, capacity and nodes.
fn parse(text: &str) -> Option<(usize, f64, Vec<Node>)> {
    let after = |title: &str| text.split_once(title).map(|(_, rest)| rest);
    let mut fleet = after("CAPACITY")?.split_whitespace();
    let there = fleet.next()?.parse().ok()?;
    let capacity = fleet.next()?.parse().ok()?;
    let table = after("CUST NO.")?;
    let numbers: Option<Vec<f64>> =
        table.lines().skip(1).flat_map(str::split_whitespace).map(|word| word.parse().ok()).collect();
    let mut nodes = Vec::new();
    for row in numbers?.chunks(7) {
        let [_, x, y, demand, ready, due, service] = *row else { return None };
        nodes.push(Node { x, y, demand, ready, due, service });
    }
    Some((there, capacity, nodes))
}

#[cfg(test)]
mod tests {
    use super::{Fault, check};

    const INSTANCE: &str = "T1\n\nVEHICLE\nNUMBER CAPACITY\n 2 10\n\nCUSTOMER\nCUST NO. XCOORD. YCOORD. DEMAND READY DUE SERVICE\n\n\
        0 0 0 0 0 40 0\n1 3 4 6 0 50 10\n2 6 8 4 0 20 10\n3 0 5 5 0 50 0\n";

    #[test]
    fn what_is_as_demanded_passes_and_each_fault_is_named() {
        let good = check(INSTANCE, &[vec![1, 2], vec![], vec![3]]);
        assert!(
            good.faults.is_empty() && (good.distance - 30.0).abs() < 1e-9 && good.vehicles == 2,
            "{good:?}"
        );
        let faults = |routes: &[Vec<u32>]| check(INSTANCE, routes).faults;
        assert_eq!(faults(&[vec![1, 2]]), [Fault::Visits { customer: 3, times: 0 }]);
        assert_eq!(faults(&[vec![1, 2], vec![3, 3]]), [Fault::Visits { customer: 3, times: 2 }]);
        assert!(matches!(faults(&[vec![1, 3], vec![2]])[..], [Fault::Overloaded { route: 0, .. }]));
        assert_eq!(faults(&[vec![1], vec![2], vec![3]]), [Fault::Vehicles { used: 3, there: 2 }]);
        assert!(faults(&[vec![1, 2], vec![3, 9]]).contains(&Fault::Unknown { route: 1, customer: 9 }));
        let late = INSTANCE.replace("2 6 8 4 0 20 10", "2 6 8 4 0 19 10");
        assert!(matches!(check(&late, &[vec![1, 2], vec![3]]).faults[..], [Fault::Late { customer: 2, .. }]));
        let late_home = INSTANCE.replace("0 0 0 0 0 40 0", "0 0 0 0 0 39 0");
        assert!(matches!(
            check(&late_home, &[vec![1, 2], vec![3]]).faults[..],
            [Fault::Late { customer: 0, .. }]
        ));
        assert_eq!(faults(&[]).len(), 3);
        assert_eq!(check("nothing", &[]).faults, [Fault::Unreadable]);
    }
}
