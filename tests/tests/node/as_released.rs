//! The images as they are released: the other tests' are of the binaries that all tests use.

use fairlead_tests::cluster::release_images;

use crate::back::play;
use crate::back::scene::Scene;

fn there_and_back(scene: &Scene<'_>) {
    scene.cluster.load_release();
    // The rollback hooks have one of the two images that are made.
    let tag = ["--set", "fairlead.image.tag=release,fairlead.rollback.image.repository=fairlead/trigger-replicator"];
    scene.install(&tag);
    let before = scene.state();
    scene.upgrade(&tag).expect(0);
    assert_eq!(scene.sides(), (0, 2));
    scene.rollback(1).expect(0);
    scene.assert_is(&before);
    assert_eq!(scene.phases(), ["RolledBack", "RolledBack"]);
}

#[test]
fn the_release_images_carry_an_upgrade_there_and_back() {
    release_images();
    play("helm4", "released", there_and_back);
}
