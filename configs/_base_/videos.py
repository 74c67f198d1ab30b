"""Unlabelled: frames of videos, as the paper takes 180,000 of Sports-1M.

`videos` is what a recipe puts in the place of its `distill.unlabeled`.
"""

videos = dict(
    data_root='data/sports-1m/',
    sources=[
        dict(
            type='VideoSource',
            name='sports-1m',
            path='videos',
            # Neighbouring frames teach the same; so do those of a still camera.
            seconds=2.0,
            duplicate_distance=6,
        )
    ],
    # Detections call a frame by its video: image_id 'videos/a.mp4#000123'.
    bbox_file='data/sports-1m/person_detections.json',
    category_ids=(1,),
)
