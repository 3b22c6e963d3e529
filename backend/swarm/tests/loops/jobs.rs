//! Jobs run to their end.

use bollard_stubs::models::{ServiceSpecMode, ServiceSpecModeReplicatedJob};
use drydock_swarm::objects::{JobStatus, Service, ServiceId, ServiceSpec, TaskState};

use crate::swarm::{Agent, Swarm, image, spec};

fn job(total: i64, concurrent: i64) -> ServiceSpec {
    let job =
        ServiceSpecModeReplicatedJob { max_concurrent: Some(concurrent), total_completions: Some(total) };
    let mode = ServiceSpecMode { replicated_job: Some(job), ..ServiceSpecMode::default() };
    ServiceSpec { mode: Some(mode), ..spec("job", 0) }
}

fn global_job() -> ServiceSpec {
    let mode = ServiceSpecMode { global_job: Some(Default::default()), ..ServiceSpecMode::default() };
    ServiceSpec { mode: Some(mode), ..spec("job", 0) }
}

fn create(swarm: &mut Swarm, spec: ServiceSpec) -> ServiceId {
    let id = ServiceId::from("job");
    let job_status = Some(JobStatus { last_execution: swarm.now, ..JobStatus::default() });
    let service = Service { id: id.clone(), spec, job_status, ..Service::default() };
    swarm.write(|tx| tx.create(service).unwrap());
    swarm.look();
    id
}

fn completed(swarm: &Swarm, id: &ServiceId) -> usize {
    swarm.tasks(id).iter().filter(|task| task.status.state == TaskState::COMPLETE).count()
}

#[test]
fn a_job_completes_as_often_as_wanted_and_no_more_at_a_time_than_allowed() {
    let mut swarm = Swarm::new(2, 1);
    let id = create(&mut swarm, job(7, 2));
    for _ in 0..100 {
        let under_way = swarm.tasks(&id).iter().filter(|task| task.is_alive()).count();
        assert!(under_way <= 2);
        swarm.agents_step();
    }
    assert_eq!(completed(&swarm, &id), 7);
    assert_eq!(swarm.tasks(&id).len(), 7);
}

#[test]
fn a_failed_task_of_a_job_is_tried_again_in_its_slot() {
    let mut swarm = Swarm::new(1, 1);
    swarm.agent("n1", Agent::Fails);
    let id = create(&mut swarm, job(2, 2));
    for _ in 0..10 {
        swarm.agents_step();
    }
    assert_eq!(completed(&swarm, &id), 0);
    swarm.agent("n1", Agent::Works);
    swarm.settle();
    assert_eq!(completed(&swarm, &id), 2);
}

#[test]
fn a_job_on_a_node_that_is_down_goes_on_elsewhere() {
    let mut swarm = Swarm::new(2, 1);
    let id = create(&mut swarm, job(4, 4));
    swarm.agent("n1", Agent::Silent);
    swarm.node_is("n1", drydock_swarm::objects::NodeState::DOWN);
    swarm.settle();
    assert_eq!(completed(&swarm, &id), 4);
}

#[test]
fn a_global_job_completes_once_on_every_node() {
    let mut swarm = Swarm::new(3, 1);
    let id = create(&mut swarm, global_job());
    swarm.settle();
    assert_eq!(completed(&swarm, &id), 3);
    swarm.settle();
    assert_eq!(swarm.tasks(&id).len(), 3);
}

#[test]
fn updating_a_job_runs_it_again() {
    for spec in [job(3, 3), global_job()] {
        let mut swarm = Swarm::new(3, 1);
        let id = create(&mut swarm, spec);
        swarm.settle();
        swarm.update(&id, |spec| image(spec, "busybox:2"));
        swarm.settle();
        let again = swarm.tasks(&id).iter().filter(|task| task.job_iteration.unwrap().index == 1).count();
        assert_eq!(again, 3);
        assert_eq!(swarm.update_state(&id), "none");
    }
}
