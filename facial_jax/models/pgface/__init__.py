"""PGFace: speech features and head pose in, face shape out (personalized pose dynamics, Sec. 4.2).

The paper is "3D Talking Face with Personalized Pose Dynamics" (Zhang et al., 2021).
"""
