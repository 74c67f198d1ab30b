"""DeepLabCut's open-field mouse (Mathis et al., Nature Neuroscience 2018).

No sigmas are published for a mouse: all are 0.05, about those of a wrist or ankle.
"""

dataset_info = dict(
    dataset_name='openfield',
    paper_info=dict(
        author='Mathis, Alexander and others',
        title='DeepLabCut: markerless pose estimation of user-defined body parts '
        'with deep learning',
        container='Nature Neuroscience',
        year='2018',
        homepage='https://github.com/DeepLabCut/DeepLabCut',
    ),
    keypoint_info={
        0: dict(name='snout', id=0, type='upper', swap=''),
        1: dict(name='leftear', id=1, type='upper', swap='rightear'),
        2: dict(name='rightear', id=2, type='upper', swap='leftear'),
        3: dict(name='tailbase', id=3, type='lower', swap=''),
    },
    skeleton_info={
        0: dict(link=('snout', 'leftear'), id=0, color=[0, 255, 0]),
        1: dict(link=('snout', 'rightear'), id=1, color=[255, 128, 0]),
        2: dict(link=('leftear', 'tailbase'), id=2, color=[0, 255, 0]),
        3: dict(link=('rightear', 'tailbase'), id=3, color=[255, 128, 0]),
    },
    joint_weights=[1.0, 1.0, 1.0, 1.0],
    sigmas=[0.05, 0.05, 0.05, 0.05],
)
