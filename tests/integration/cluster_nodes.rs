//! A cluster of several nodes: masters that share the slots, and their replicas.

use redis::cluster::{ClusterClient, ClusterConnection};

use crate::cluster::clustered;
use crate::fleet::{as_master, until_linked};
use crate::support::until::PATIENCE;
use crate::support::{Client, Origin, Server, until};

/// How long, in milliseconds, a node may be silent before the others hold it for dead.
const NODE_TIMEOUT: &str = "800";
const SLOTS: usize = 16384;

/// The nodes. Of the replicas the first follows the first master, and so on.
pub struct Nodes {
    pub masters: Vec<Server>,
    pub replicas: Vec<Server>,
}

impl Nodes {
    /// A cluster that is ready, of so many masters with evenly spread slots, each with a replica or none.
    pub fn start(masters: usize, with_replicas: bool) -> Self {
        let start = |count: usize| (0..count).map(|_| node()).collect();
        let replicas = if with_replicas { masters } else { 0 };
        let nodes = Self { masters: start(masters), replicas: start(replicas) };
        nodes.meet();
        for (at, master) in nodes.masters.iter().enumerate() {
            let [first, next] = [at, at + 1].map(|at| at * SLOTS / masters);
            let range = [first, next - 1].map(|slot| slot.to_string());
            master.client().ok(&["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]]);
        }
        for (replica, master) in nodes.replicas.iter().zip(&nodes.masters) {
            let (mut client, master) = (replica.client(), id(master));
            until("the replica to know its master", || {
                client.call(&["CLUSTER", "REPLICATE", &master]).is_ok()
            });
            until_linked(replica);
        }
        nodes.until_agreed();
        nodes
    }

    /// Introduces each node to the first; the others it gets to know from there.
    fn meet(&self) {
        let mut first = self.masters[0].client();
        for node in self.all().skip(1) {
            let bus = node.call(&["CONFIG", "GET", "cluster-port"]);
            let bus = crate::support::client::bytes_of(crate::fleet::last_of(bus.unwrap()));
            let (port, bus) = (node.port().to_string(), String::from_utf8(bus).unwrap());
            first.ok(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        let count = self.all().count();
        for node in self.all() {
            let known = format!("cluster_known_nodes:{count}\r");
            until_cluster_info(node, &known);
        }
    }

    /// Waits until every node that lives holds the cluster for whole.
    fn until_agreed(&self) {
        for node in self.all() {
            until_cluster_info(node, "cluster_state:ok");
            until("all slots", || slots(node).len() == self.masters.len());
        }
    }

    /// Every node.
    pub fn all(&self) -> impl Iterator<Item = &Server> {
        self.masters.iter().chain(&self.replicas)
    }

    /// A client as applications have it, which finds out by itself where a key is.
    pub fn client(&self) -> ClusterConnection {
        let urls = self.all().map(|node| format!("redis://127.0.0.1:{}", node.port()));
        let client = ClusterClient::builder(urls).retries(30).response_timeout(PATIENCE);
        client.build().unwrap().get_connection().expect("the cluster cannot be reached")
    }

    /// A URL of the origin whose slot is the first master's, and that slot.
    pub fn url_of_the_first(&self, origin: &Origin, path: &str) -> (String, String) {
        let mut client = self.masters[0].client();
        let mut urls = (0..).map(|n| origin.url(&format!("{path}#{n}")));
        urls.find_map(|url| {
            let slot = client.int(&["CLUSTER", "KEYSLOT", &url]);
            let own = slot < i64::try_from(SLOTS / self.masters.len()).unwrap();
            own.then(|| (url, slot.to_string()))
        })
        .unwrap()
    }
}

fn node() -> Server {
    let builder = clustered(as_master(Server::builder()))
        .config("cluster-node-timeout", NODE_TIMEOUT)
        .config("cluster-replica-validity-factor", "0")
        .config("cluster-allow-replica-migration", "no")
        .config("repl-ping-replica-period", "1");
    builder.start()
}

/// A node's own id.
pub fn id(node: &Server) -> String {
    node.client().text(&["CLUSTER", "MYID"])
}

/// Waits until a node's `CLUSTER INFO` has this text.
pub fn until_cluster_info(node: &Server, text: &str) {
    let mut client = node.client();
    until(text, || client.text(&["CLUSTER", "INFO"]).contains(text));
}

fn slots(node: &Server) -> Vec<crate::support::Value> {
    node.client().array(&["CLUSTER", "SLOTS"])
}

/// Where a stranger is sent who asks for this key of another's.
pub fn moved(client: &mut Client, key: &str, owner: &Server) -> String {
    let slot = client.int(&["CLUSTER", "KEYSLOT", key]);
    format!("MOVED {slot} 127.0.0.1:{}", owner.port())
}
