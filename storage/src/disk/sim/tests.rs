use super::*;
use crate::disk::buffer::AlignedBuffer;

fn block(byte: u8) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::zeroed(BLOCK);
    buffer.fill(byte);
    buffer
}

/// One durable block of 1s in "a", then an unsynced block of 2s behind it and an unsynced file "b".
fn scene() -> SimDisk {
    let disk = SimDisk::new();
    let a = disk.create("a").unwrap();
    a.write_at(Caching::Direct, &block(1), 0).unwrap();
    a.sync_data().unwrap();
    disk.sync_directory().unwrap();
    disk.marker(3);
    a.write_at(Caching::Direct, &block(2), BLOCK as u64).unwrap();
    let b = disk.create("b").unwrap();
    b.write_at(Caching::Buffered, b"hello", 0).unwrap();
    disk
}

fn images(disk: &SimDisk) -> Vec<CrashImage> {
    disk.crash_images(disk.log_len(), 1, 1000).collect()
}

fn find(images: &[CrashImage], class: &CrashClass) -> SimDisk {
    images.iter().find(|image| image.class == *class).unwrap().disk.clone()
}

#[test]
fn what_was_synced_survives_in_every_image() {
    let disk = scene();
    for image in images(&disk) {
        assert_eq!(image.marker, Some(3));
        let a = image.disk.content("a").unwrap();
        assert!(a[..BLOCK].iter().all(|&byte| byte == 1), "{}", image.class);
        assert_eq!(image.disk.log_len(), 0);
    }
}

#[test]
fn unsynced_operations_survive_in_every_combination() {
    let disk = scene();
    let images = images(&disk);
    let nothing = find(&images, &CrashClass::Nothing);
    assert_eq!(nothing.content("a").unwrap().len(), BLOCK);
    assert_eq!(nothing.content("b"), None);
    let everything = find(&images, &CrashClass::Everything);
    assert_eq!(everything.content("a").unwrap()[BLOCK..], block(2)[..]);
    assert_eq!(everything.content("b").unwrap(), b"hello");
    assert_eq!(find(&images, &CrashClass::Names).content("b").unwrap(), b"");
    let data = find(&images, &CrashClass::Data);
    assert_eq!(data.content("a").unwrap().len(), 2 * BLOCK);
    assert_eq!(data.content("b"), None);
    let lengths = find(&images, &CrashClass::Lengths);
    assert_eq!(lengths.content("a").unwrap()[BLOCK..], [0; BLOCK]);
    assert_eq!(lengths.content("b").unwrap(), [0; 5]);
    let create = disk.log().iter().position(|op| matches!(op, Op::Create { name, .. } if name == "b")).unwrap();
    assert_eq!(find(&images, &CrashClass::Only(create)).content("b").unwrap(), b"");
    assert_eq!(find(&images, &CrashClass::Without(create)).content("b"), None);
    let tears = images.iter().filter(|image| matches!(image.class, CrashClass::Torn { .. })).count();
    assert_eq!(tears, BLOCK / crash::SECTOR - 1);
    assert!(images.iter().any(|image| matches!(image.class, CrashClass::Mixture(_))));
}

#[test]
fn a_crash_point_hides_what_came_later_and_images_can_crash_again() {
    let disk = scene();
    let at = disk.log().iter().position(|op| matches!(op, Op::SyncDirectory)).unwrap();
    let names: Vec<_> = disk.crash_images(at, 0, 100).map(|image| (image.disk.list().unwrap(), image.marker)).collect();
    assert!(names.contains(&(vec!["a".to_owned()], None)));
    assert!(names.contains(&(vec![], None)));
    assert!(!names.iter().any(|(names, _)| names.contains(&"b".to_owned())));
    let second = find(&images(&disk), &CrashClass::Nothing);
    second.create("c").unwrap();
    let again: Vec<_> = second.crash_images(1, 0, 100).collect();
    assert!(again.iter().all(|image| image.marker == Some(3) && image.disk.content("a").is_some()));
    assert!(again.iter().any(|image| image.disk.content("c").is_some()));
}

#[test]
fn images_repeat_with_their_seed_and_keep_their_limit() {
    let disk = scene();
    let classes = |seed, limit| -> Vec<CrashClass> {
        disk.crash_images(disk.log_len(), seed, limit).map(|image| image.class).collect()
    };
    assert_eq!(classes(5, 7), classes(5, 7));
    assert_ne!(classes(5, 7), classes(6, 7));
    assert_eq!(classes(5, 7).len(), 7);
    assert_eq!(classes(5, 0), [CrashClass::Nothing, CrashClass::Everything]);
}

#[test]
fn faults_strike_when_told_and_a_failed_sync_is_not_mended_by_the_next() {
    let disk = SimDisk::new();
    let file = disk.create("a").unwrap();
    disk.sync_directory().unwrap();
    file.write_at(Caching::Direct, &block(1), 0).unwrap();
    disk.fail(disk.operations(), Fault::Io, Repeat::Once);
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    let lost = find(&images(&disk), &CrashClass::Nothing);
    assert_eq!(lost.content("a").unwrap(), b"");
    file.write_at(Caching::Direct, &block(2), 0).unwrap();
    file.sync_data().unwrap();
    assert!(images(&disk).iter().all(|image| image.disk.content("a").unwrap() == block(2)[..]));

    disk.fail(disk.operations(), Fault::ShortWrite, Repeat::Once);
    assert!(file.write_at(Caching::Direct, &block(9), 0).is_err());
    let content = disk.content("a").unwrap();
    assert_eq!((content[0], content[BLOCK / 2 - 1], content[BLOCK / 2]), (9, 9, 2));

    disk.fail(disk.operations() + 1, Fault::NoSpace, Repeat::Forever);
    file.sync_data().unwrap();
    for _ in 0..3 {
        let error = disk.create("x").err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
    disk.heal();
    disk.create("x").unwrap();
    disk.fail_reads(true);
    assert!(file.read_at(Caching::Direct, &mut block(0), 0).is_err());
}

#[test]
fn a_full_disk_refuses_growth_but_not_overwrites() {
    let disk = SimDisk::new();
    let file = disk.create("a").unwrap();
    disk.set_capacity(BLOCK as u64);
    file.write_at(Caching::Direct, &block(1), 0).unwrap();
    assert_eq!(disk.space().unwrap(), Space { free: 0, total: BLOCK as u64 });
    let error = file.write_at(Caching::Direct, &block(1), BLOCK as u64).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    file.write_at(Caching::Direct, &block(2), 0).unwrap();
    disk.remove("a").unwrap();
    assert_eq!(disk.space().unwrap().free, BLOCK as u64);
}

#[test]
fn flipped_bits_stay_flipped_and_misaligned_direct_io_is_refused() {
    let disk = scene();
    assert!(disk.flip("a", 10, 0x81));
    assert!(!disk.flip("a", 1 << 40, 1) && !disk.flip("nothing", 0, 1));
    assert_eq!(disk.content("a").unwrap()[10], 1 ^ 0x81);
    assert!(images(&disk).iter().all(|image| image.disk.content("a").unwrap()[10] == 1 ^ 0x81));
    let file = disk.open("a").unwrap();
    assert!(file.write_at(Caching::Direct, &block(1), 512).is_err());
    assert!(file.write_at(Caching::Direct, &block(1)[..512], 0).is_err());
    assert!(file.read_at(Caching::Direct, &mut block(1)[1..], 0).is_err());
}
